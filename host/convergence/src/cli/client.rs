//! The HTTP client of every command.

use std::time::Duration;

use convergence_model::Code;
use convergence_model::ids::Ids;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::exit::Failure;
use crate::boot::SystemIds;

/// Time to connect; answers may take as long as the work does.
const CONNECT: Duration = Duration::from_secs(5);

/// Between two attempts to reach a server that went away.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);
/// How long a server may stay away.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// Talks to one server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// A client of the server at `url`, with or without `/api/v1`.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').trim_end_matches("/api/v1").to_owned();
        if !base.starts_with("http://") {
            return Err(Failure::Failed(format!("--url {url:?} must begin with http://")));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .no_proxy()
            .build()
            .map_err(|error| Failure::Failed(format!("cannot make an HTTP client: {error}")))?;
        Ok(Self { http, base })
    }

    /// The server's address, as it was named.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// A request; `path` begins with `/`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends it; an answer that is a problem is a failure.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let problem = response.json().await.unwrap_or_else(|_| not_ours(status));
        Err(Failure::Problem(status.as_u16(), problem))
    }

    /// Sends it and reads a JSON document.
    pub(crate) async fn json(&self, request: RequestBuilder) -> Result<(StatusCode, Value), Failure> {
        let response = self.send(request).await?;
        let status = response.status();
        let document = response.json().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, document))
    }

    /// The same of a request that begins something. It gets a key of its own, so that it can be sent again where its answer
    /// was lost, and is done once all the same.
    pub(crate) async fn json_once(&self, request: RequestBuilder) -> Result<(StatusCode, Value), Failure> {
        let request = request.header("idempotency-key", SystemIds.uuid().to_string());
        let (mut silence, mut sent) = (Duration::ZERO, false);
        loop {
            let again = request.try_clone().ok_or_else(|| Failure::Failed("it cannot be sent twice".to_owned()))?;
            let answer = async {
                let response = again.send().await?;
                let status = response.status();
                Ok::<_, reqwest::Error>((status, response.bytes().await?))
            };
            match answer.await {
                Ok((status, bytes)) => {
                    let document = serde_json::from_slice(&bytes).unwrap_or_else(|_| not_ours(status));
                    let code = document.get("code").and_then(Value::as_str);
                    let stops = [Code::Stopping, Code::Starting].iter().any(|passing| code == Some(passing.slug()));
                    if status.is_success() {
                        return Ok((status, document));
                    }
                    if !stops || silence >= SILENCE {
                        return Err(Failure::Problem(status.as_u16(), document));
                    }
                }
                // Where nothing answers from the beginning, nothing was asked.
                Err(error) if (error.is_connect() && !sent) || error.is_builder() || silence >= SILENCE => {
                    return Err(self.unreachable(&error));
                }
                Err(_) => {}
            }
            sent = true;
            tokio::time::sleep(PAUSE).await;
            silence += PAUSE;
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Failure {
        if error.is_connect() {
            Failure::Unreachable(format!(
                "no server answers at {}; start one with `convergence serve`, or name another with --url",
                self.base
            ))
        } else {
            let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Failure::Unreachable(format!(
                "the connection to {} broke{cause}; what was asked may still happen",
                self.base
            ))
        }
    }
}

fn not_ours(status: StatusCode) -> Value {
    serde_json::json!({ "detail": format!("the server answered {status}, and not like a Convergence server; is --url right?") })
}
