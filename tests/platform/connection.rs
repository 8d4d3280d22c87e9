//! What is refused before there is a request, and what is refused of every request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::without_engine;
use crate::harness::Server;

/// Sends bytes and reads until the server hangs up: the status and the document.
fn raw(server: &Server, bytes: &[u8]) -> (u16, String, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.block.api_port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // It may hang up before it has read all of it.
    stream.write_all(bytes).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    let document = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
    (status, head.to_ascii_lowercase(), document)
}

#[tokio::test]
async fn what_cannot_be_read_as_a_request_is_told_as_a_problem() {
    let server = without_engine().await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(70_000));
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    let many = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{many}\r\n");
    for (bytes, status, code) in [
        ("nonsense\r\n\r\n", 400, "malformed-request"),
        ("GET /health HTTP/1.1\r\nho st: localhost\r\n\r\n", 400, "malformed-request"),
        (
            "GET /health HTTP/1.1\r\nhost: localhost\r\nhost: elsewhere\r\nconnection: close\r\n\r\n",
            400,
            "malformed-request",
        ),
        (long.as_str(), 414, "uri-too-long"),
        (many.as_str(), 431, "headers-too-large"),
    ] {
        let (answered, head, document) = raw(&server, bytes.as_bytes());
        assert_eq!((answered, document["code"].as_str()), (status, Some(code)), "{head}\n{document}");
        assert!(head.contains("content-type: application/problem+json"), "{head}");
        let id = document["requestId"].as_str().unwrap();
        assert!(head.contains(&format!("x-request-id: {id}")), "{head}");
        assert!(document["next"].as_str().is_some_and(|next| next.len() > 10), "{document}");
    }
    assert_eq!(server.http.get("/health").await.status, 200);
}

#[tokio::test]
async fn the_entrance_leads_to_the_reference_and_unknown_paths_are_problems() {
    let server = without_engine().await;
    let entrance = server.http.get("/").await;
    assert_eq!(entrance.status, 200, "it was followed");
    assert!(entrance.text.contains("swagger"), "{}", entrance.text);
    for path in ["/nothing", "/api", "/api/v2/tenant", "/api/v1/tenant/1/2/3", "/api-docs.json"] {
        let answer = server.http.get(path).await;
        assert_eq!((answer.status, &answer.json()["code"]), (404, &"no-such-path".into()), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_what_it_is() {
    let server = without_engine().await;
    let request = server.http.request(Method::POST, "/api/v1/tenant/plan").header("content-type", "application/json");
    let answer = server.http.send(request.header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0])).await;
    assert_eq!(answer.expect(415)["code"], "encoded-body");
}
