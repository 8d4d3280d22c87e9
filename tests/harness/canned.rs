//! A server that answers what it is told to: for answers that the real one gives only now and then, or in another version.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
    stays_open: bool,
}

impl Reply {
    /// A document.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::bytes("application/json", body.to_string().into_bytes()).with_status(status)
    }

    /// Anything.
    pub(crate) fn bytes(kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, kind, body: body.into(), stays_open: false }
    }

    /// Server-sent events, each a name and a document.
    pub(crate) fn events(events: &[(&str, serde_json::Value)]) -> Self {
        let mut body = String::new();
        for (number, (name, data)) in events.iter().enumerate() {
            body.push_str(&format!("event: {name}\ndata: {data}\nid: {}\n\n", number + 1));
        }
        Self::bytes("text/event-stream", body)
    }

    /// The same, and nothing follows, not even the end.
    pub(crate) fn without_end(self) -> Self {
        Self { stays_open: true, ..self }
    }

    fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// A running server. Each request gets the answer of its method and path, `GET /api/v1/tenant`; others get a 404.
#[derive(Debug)]
pub(crate) struct Canned {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Canned {
    pub(crate) fn with(replies: Vec<(&'static str, Reply)>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (asked, stops) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (asked, stops) = (Arc::clone(&asked), Arc::clone(&stops));
            move || {
                // Held until the end, so that nobody takes them for ended.
                let mut open = Vec::new();
                for stream in listener.incoming() {
                    if stops.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut stream) = stream else { continue };
                    if let Some(reply) = answer(&mut stream, &replies, &asked)
                        && reply.stays_open
                    {
                        open.push(stream);
                    }
                }
            }
        });
        Self { port, asked, stops, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked so far, with its query.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).ok();
        self.thread.take().map(JoinHandle::join);
    }
}

fn answer(stream: &mut TcpStream, replies: &[(&'static str, Reply)], asked: &Mutex<Vec<String>>) -> Option<Reply> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    std::io::copy(&mut Read::by_ref(stream).take(length), &mut std::io::sink()).ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_uppercase(), words.next()?);
    asked.lock().expect("nobody panics with it").push(format!("{method} {target}"));
    let path = target.split('?').next()?;
    let reply = replies.iter().find(|(known, _)| *known == format!("{method} {path}")).map(|(_, reply)| reply.clone());
    let absent = serde_json::json!({ "status": 404, "code": "no-such-path", "detail": "there is nothing here" });
    let reply = reply.unwrap_or_else(|| Reply::json(404, &absent));
    write!(stream, "HTTP/1.1 {} X\r\nContent-Type: {}\r\nConnection: close\r\n\r\n", reply.status, reply.kind).ok()?;
    stream.write_all(&reply.body).and_then(|()| stream.flush()).ok()?;
    Some(reply)
}
