//! Probes against small servers of the test's own.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "the servers are tasks of the test")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers one connection with `answer`, and hangs up.
async fn server(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(&answer).await;
    });
    address
}

async fn ask(answer: &[u8]) -> Result<(), String> {
    get(server(answer.to_vec()).await, "/health", Duration::from_secs(2)).await
}

#[tokio::test]
async fn only_2xx_is_ready() {
    assert_eq!(ask(b"HTTP/1.1 204 No Content\r\n\r\n").await, Ok(()));
    assert_eq!(ask(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await, Ok(()));
    let moved = ask(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n").await.unwrap_err();
    assert!(moved.contains("302") && moved.contains("not followed"), "{moved}");
    assert!(ask(b"HTTP/1.1 503 Busy\r\n\r\n").await.unwrap_err().contains("503"));
    assert!(ask(b"SSH-2.0-thing\r\n").await.unwrap_err().contains("not HTTP"));
    assert!(ask(b"").await.unwrap_err().contains("not HTTP"));
}

#[tokio::test]
async fn an_open_port_is_ready_unless_it_says_in_http_that_it_is_broken() {
    let limit = Duration::from_millis(200);
    let ask = async |answer: &[u8]| open(server(answer.to_vec()).await, limit).await;
    for answer in [&b"HTTP/1.1 404 Not Found\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n\r\nok", b"SSH-2.0-thing\r\n", b""] {
        assert_eq!(ask(answer).await, Ok(()), "{answer:?}");
    }
    assert_eq!(ask(b"HTTP/1.1 500 Oops\r\n\r\n").await, Err("GET / answered 500".to_owned()));
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    assert_eq!(open(silent.local_addr().unwrap(), limit).await, Ok(()), "what waits for its client to speak");
    let closed = silent.local_addr().unwrap();
    drop(silent);
    assert!(open(closed, limit).await.is_err());
}

#[tokio::test]
async fn an_endless_answer_is_read_only_so_far() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(4 * MOST_BYTES, b'x');
    assert_eq!(ask(&endless).await, Ok(()));
    assert!(ask(&vec![b'x'; 4 * MOST_BYTES]).await.is_err());
}

#[tokio::test]
async fn a_path_cannot_smuggle_a_second_request() {
    let address = server(Vec::new()).await;
    let refused = get(address, "/ HTTP/1.1\r\nX: y", Duration::from_secs(2)).await.unwrap_err();
    assert!(refused.contains("not the path"), "{refused}");
}
