//! Our side: a real server with a folder, ports, networks and names of its own, and a client of its API.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::prepared;

/// Before everything the benchmark has in the engine.
pub(crate) const PREFIX: &str = "convergence-bench";
const STARTUP: Duration = Duration::from_secs(60);

/// A running server; dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
}

/// The name of a tenant's container.
pub(crate) fn container(tenant: i64) -> String {
    format!("{PREFIX}-{tenant}")
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = folder.path().join("convergence.toml");
        fs::write(&config, configuration(folder.path(), port)).unwrap();
        let child = Command::new(prepared("CONVERGENCE_BIN", "target/release/convergence"))
            .args(["serve", "--config"])
            .arg(config)
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, port, folder };
        let deadline = Instant::now() + STARTUP;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
            assert!(Instant::now() < deadline, "the server does not start: {}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // It answers before its plugins are compiled.
        while server.ask("GET", "/ready", String::new(), false).await.0 != 200 {
            assert!(Instant::now() < deadline, "the server does not get ready: {}", server.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Spawns a tenant and answers its number once it runs.
    pub(crate) async fn spawn(&self, name: &str, language: &str) -> i64 {
        let body = json!({ "name": name, "language": language }).to_string();
        let (status, text) = self.ask("POST", "/api/v1/tenant/spawn", body, false).await;
        assert_eq!(status, 201, "{text}\n{}", self.log());
        serde_json::from_str::<Value>(&text).unwrap()["tenant"]["envId"].as_i64().unwrap()
    }

    /// Removes a tenant.
    pub(crate) async fn destroy(&self, tenant: i64) {
        let (status, text) = self.ask("DELETE", &format!("/api/v1/tenant/{tenant}"), String::new(), false).await;
        assert_eq!(status, 200, "{text}\n{}", self.log());
    }

    /// Ends the server, whose tenants are gone.
    pub(crate) fn stop(self) {
        drop(self);
    }

    /// Sends a request: the status and the text of its answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: String, respond_async: bool) -> (u16, String) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("127.0.0.1:{}", self.port))
            .header("content-type", "application/json");
        if respond_async {
            request = request.header("prefer", "respond-async");
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        drop(sender);
        driver.await.unwrap().unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    /// What the server wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let plugins = folder.join("plugins");
    fs::create_dir(&plugins).unwrap();
    let components = prepared("CONVERGENCE_COMPONENTS", "target/components");
    for kind in ["templates", "policies"] {
        for entry in fs::read_dir(components.join(kind)).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "wasm") {
                fs::copy(&file, plugins.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let images = fs::read_to_string(prepared("CONVERGENCE_IMAGES", "target/convergence/images.toml")).unwrap();
    let data = folder.join("data");
    format!(
        "listen = \"127.0.0.1:{port}\"\ndata-dir = {data:?}\nplugins-dir = {plugins:?}\n\n\
         [docker]\nname-prefix = {PREFIX:?}\n\n\
         [tenants]\nports = \"23300-23349\"\nsubnets = \"10.202.200.0/24\"\n\n{images}\n"
    )
}
