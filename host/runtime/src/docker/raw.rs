//! Requests that are made here and not by bollard: their connection lives inside the future of the call, and dropping that
//! hangs up.

use std::io;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::http::request::Builder;
use hyper::rt::{Read, Write};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};

use super::connect::{Address, Docker, Fault, bounded};

/// Bytes of an answer of JSON. An older engine tells of every container and image where it is asked about volumes.
const LONGEST_ANSWER: usize = 64 << 20;

/// What a request sends.
pub(super) type Body = BoxBody<Bytes, io::Error>;

impl Docker {
    /// The beginning of a request, with the version that was agreed on.
    pub(super) async fn post(&self, path_and_query: &str) -> Result<Builder, Fault> {
        self.request_to(Method::POST, path_and_query).await
    }

    pub(super) async fn request_to(&self, method: Method, path_and_query: &str) -> Result<Builder, Fault> {
        let version = self.client().await?.client_version();
        let request = Request::builder().method(method).uri(format!("/v{version}{path_and_query}"));
        Ok(request.header(header::HOST, "docker").header(header::CONNECTION, "close"))
    }

    /// Sends a request without a body, and reads the JSON document that it is answered with.
    pub(super) async fn ask<T: DeserializeOwned + Send>(
        &self,
        method: Method,
        path_and_query: &str,
    ) -> Result<T, Fault> {
        let request = self.request_to(method, path_and_query).await?;
        self.exchange(without_a_body(request)?, document).await
    }

    /// Sends a request on a connection of its own, and reads the answer.
    pub(super) async fn exchange<T, F>(
        &self,
        request: Request<Body>,
        read: impl FnOnce(Response<Incoming>) -> F + Send,
    ) -> Result<T, Fault>
    where
        T: Send,
        F: Future<Output = Result<T, Fault>> + Send,
    {
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| self.no_connection(&error))?;
                exchange(TokioIo::new(stream), request, read).await
            }
            Address::Tcp(host) => {
                let stream = TcpStream::connect(host).await.map_err(|error| self.no_connection(&error))?;
                exchange(TokioIo::new(stream), request, read).await
            }
            Address::Unsupported(text) => Err(Fault::Failed(self.unreachable(text, None))),
        }
    }

    fn no_connection(&self, error: &io::Error) -> Fault {
        Fault::Failed(self.unreachable(&error.to_string(), Some(error.kind())))
    }
}

async fn exchange<T, S, F>(
    stream: TokioIo<S>,
    request: Request<Body>,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, Fault>
where
    TokioIo<S>: Read + Write + Unpin,
    F: Future<Output = Result<T, Fault>>,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|error| Fault::Lost(error.to_string()))?;
    let answer = pin!(async {
        let response = sender.send_request(request).await.map_err(|error| Fault::Lost(error.to_string()))?;
        read(response).await
    });
    // The connection moves the bytes, and must not be a task of its own: it has to end with this future.
    match select(answer, pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // What arrived before its end is still to be read; a broken end shows up there.
        Either::Right((_, answer)) => answer.await,
    }
}

/// A request that sends nothing.
pub(super) fn without_a_body(request: Builder) -> Result<Request<Body>, Fault> {
    request
        .body(Empty::<Bytes>::new().map_err(|never| match never {}).boxed())
        .map_err(|error| Fault::Refused { status: 0, message: error.to_string() })
}

/// Reads an answer of JSON.
pub(super) async fn document<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Fault> {
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
    let body = body.map_err(|error| Fault::Lost(error.to_string()))?.to_bytes();
    if !status.is_success() {
        return Err(Fault::Refused { status: status.as_u16(), message: bounded(&String::from_utf8_lossy(&body)) });
    }
    serde_json::from_slice(&body).map_err(|error| Fault::Refused { status: 0, message: error.to_string() })
}

/// A value of a query, percent-encoded.
pub(super) fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
