//! Connections, whose every answer is the server's own.
//!
//! What cannot be read as a request never reaches a route: hyper answers it by itself, with a status and no body. Here such
//! an answer is replaced by a problem, as everything else that is refused is told.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use convergence_model::Code;
use convergence_model::ids::Ids;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::problem::Problem;

/// Who is on the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// A listener whose connections tell everything that is refused as a problem.
pub(crate) struct Connections {
    listener: TcpListener,
    ids: Arc<dyn Ids>,
}

impl Connections {
    pub(crate) fn of(listener: TcpListener, ids: Arc<dyn Ids>) -> Self {
        Self { listener, ids }
    }
}

impl Listener for Connections {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Connection::of(stream, Arc::clone(&self.ids)), peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// One connection.
pub(crate) struct Connection<S> {
    stream: S,
    ids: Arc<dyn Ids>,
    /// What is still to be written of a problem.
    pending: Vec<u8>,
    /// The last write was not taken whole, so the next one begins in the middle of something.
    middle: bool,
}

impl<S> Connection<S> {
    fn of(stream: S, ids: Arc<dyn Ids>) -> Self {
        Self { stream, ids, pending: Vec::new(), middle: false }
    }

    /// The problem instead of an answer without a body that no route gave.
    fn instead_of(&self, written: &[u8]) -> Option<Vec<u8>> {
        if self.middle || !written.starts_with(b"HTTP/1.1 4") || !written.ends_with(b"\r\n\r\n") {
            return None;
        }
        let head = std::str::from_utf8(written).ok()?;
        let (code, detail) = match head.get(9..12)? {
            "400" => (Code::MalformedRequest, "the request is not HTTP/1.1: its first line or a header cannot be read"),
            "414" => (Code::UriTooLong, "the path and query of the request are too long"),
            "431" => (Code::HeadersTooLarge, "the request has too many headers, or they are too long"),
            _ => return None,
        };
        // Every answer of a route carries the request's id.
        let empty = head.lines().any(|line| line.eq_ignore_ascii_case("content-length: 0"));
        if !empty || head.to_ascii_lowercase().contains("\r\nx-request-id:") {
            return None;
        }
        let id = self.ids.uuid().to_string();
        let problem = Problem::new(code, detail).document(&id);
        let body = serde_json::to_string(&problem).ok()?;
        let status_line = head.lines().next()?;
        tracing::info!(id, status = code.status(), "refused what cannot be read as a request");
        Some(
            format!(
                "{status_line}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nx-request-id: {id}\r\n\
                 x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .into_bytes(),
        )
    }
}

impl<S: AsyncWrite + Unpin> Connection<S> {
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        if let Some(problem) = self.instead_of(bytes) {
            self.pending = problem;
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.middle = written < bytes.len();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        let first = slices.iter().find(|slice| !slice.is_empty());
        if let Some((first, problem)) = first.and_then(|first| Some((first, self.instead_of(first)?))) {
            self.pending = problem;
            return Poll::Ready(Ok(first.len()));
        }
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        self.middle = written < all;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
