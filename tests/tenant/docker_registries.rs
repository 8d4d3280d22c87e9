//! An image of a registry with a password, on the real engine: it is pulled after the login, and not for anybody else.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::docker_reconcile::docker;
use crate::harness::registry::{PASSWORD, RegistryOptions, RegistryServer, USERNAME};
use crate::harness::server::binary;
use crate::harness::{Options, Server, base_image};

/// An image that the registry has and the engine has not.
struct Private(String);

impl Private {
    fn publish(registry: &RegistryServer) -> Self {
        let image = Self(format!("{}/team/private:1", registry.name()));
        let folder = TempDir::new().unwrap();
        let (server, config) = (folder.path().join("server.py"), folder.path().join("config"));
        let text = "import http.server\nhttp.server.HTTPServer(('', 9191), http.server.SimpleHTTPRequestHandler).serve_forever()\n";
        fs::write(&server, text).unwrap();
        let making = format!("convergence-test-private-{}", registry.name().replace([':', '.'], "-"));
        docker(&["create", "--name", &making, &base_image(), "true"]);
        docker(&["cp", server.to_str().unwrap(), &format!("{making}:/server.py")]);
        let changes = ["ENTRYPOINT [\"python3\"]", "CMD [\"/server.py\"]", "EXPOSE 9191", "WORKDIR /etc"];
        let changes = changes.map(|change| ["--change", change]).concat();
        docker(&[&["commit"][..], &changes, &[&making, &image.0]].concat());
        docker(&["rm", &making]);
        let config = config.to_str().unwrap();
        let mut login = Command::new("docker");
        login.args(["--config", config, "login", "--username", USERNAME, "--password-stdin", &registry.name()]);
        let output = given(login, PASSWORD);
        assert!(output.status.success(), "{output:?}");
        docker(&["--config", config, "push", &image.0]);
        docker(&["rmi", &image.0]);
        image
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", "--force", &self.0]).output().ok();
    }
}

/// Runs a command that is given this on its standard input.
fn given(mut command: Command, text: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command can be run");
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn log_in(server: &Server, host: &str, password: &str) {
    let mut command = Command::new(binary());
    command.args(["registry", "login", host, "--user", USERNAME]).env_remove("DATABASE_URL");
    command.env("CONVERGENCE_URL", format!("http://127.0.0.1:{}", server.block.api_port()));
    let output = given(command, &format!("{password}\n"));
    assert!(output.status.success(), "{output:?}");
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn an_image_of_a_registry_with_a_password_is_pulled_after_the_login_alone() {
    let registry = RegistryServer::start(RegistryOptions { closed: true, ..RegistryOptions::default() }).await;
    let image = Private::publish(&registry);
    let tables = format!("[build]\nallow-images = [\"{}/team/*\"]", registry.name());
    let server = Server::with(Options::light().and(&tables)).await;
    let deploy = || server.cli(&["deploy", "--image", &image.0, "--name", "private", "--port", "9191", "--json"]);
    let hint = format!("convergence registry login {} --user NAME", registry.name());

    let refused = deploy();
    assert!(!refused.status.success() && said(&refused).contains(&hint), "{}", said(&refused));
    log_in(&server, &registry.name(), "wrong");
    let refused = deploy();
    assert!(!refused.status.success() && said(&refused).contains(&hint), "{}", said(&refused));

    log_in(&server, &registry.name(), PASSWORD);
    let listed = said(&server.cli(&["registry", "list"]));
    assert!(listed.contains(&registry.name()) && listed.contains(USERNAME) && !listed.contains(PASSWORD), "{listed}");
    let output = deploy();
    assert!(output.status.success(), "{}", said(&output));
    let deployed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(server.ask(&deployed, "/").await.status, 200);

    let out = server.cli(&["registry", "logout", &registry.name()]);
    assert!(out.status.success(), "{}", said(&out));
    // The engine has the image now, and gives it only to those whom the registry lets pull it.
    docker(&["image", "inspect", &image.0]);
    let refused = deploy();
    assert!(!refused.status.success() && said(&refused).contains(&hint), "{}", said(&refused));
    let digest = docker(&["image", "inspect", "--format", "{{index .RepoDigests 0}}", &image.0]);
    let refused = server.cli(&["deploy", "--image", &digest, "--name", "by-digest", "--port", "9191", "--json"]);
    assert!(digest.contains('@') && !refused.status.success() && said(&refused).contains(&hint), "{}", said(&refused));
    assert_eq!(server.ask(&deployed, "/").await.status, 200, "what ran still runs");
    let again = server.cli(&["registry", "logout", &registry.name()]);
    assert!(!again.status.success() && said(&again).contains("there is no such registry"), "{}", said(&again));

    let registries = server.http.get("/api/v1/registries").await.expect(200);
    assert_eq!(registries, json!({ "registries": [] }));
    assert!(!server.log().contains(PASSWORD), "the password is in the log");
    server.destroy(&deployed).await;
}

/// Answers every request with what `answer` makes of its head, and keeps the heads. It ends with the test's process.
fn serve(address: Ipv4Addr, answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((address, 0)).expect("loopback has a port");
    let (local, heads) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    std::thread::spawn({
        let heads = Arc::clone(&heads);
        move || {
            for mut stream in listener.incoming().flatten() {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                stream.write_all(answer(&head).as_bytes()).ok();
                heads.lock().unwrap().push(head);
            }
        }
    });
    (local, heads)
}

#[tokio::test]
async fn a_registry_that_leads_to_a_private_address_gets_no_answer_of_it_and_no_password_there() {
    let body = "planted-metadata";
    let (private, asked) = serve(Ipv4Addr::new(127, 0, 0, 2), move |_| {
        format!("HTTP/1.1 404 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    });
    let (registry, reached) = serve(Ipv4Addr::LOCALHOST, move |head| {
        let (status, more) = if !head.contains("authorization: basic") {
            ("401 X", "WWW-Authenticate: Basic realm=\"registry\"".to_owned())
        } else if head.starts_with("get /v2/ ") {
            ("200 OK", "X-Nothing: 1".to_owned())
        } else {
            ("307 X", format!("Location: http://{private}/latest/meta-data"))
        };
        let version = "Docker-Distribution-Api-Version: registry/2.0";
        format!("HTTP/1.1 {status}\r\n{version}\r\n{more}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    let tables = format!("[build]\nallow-images = [\"{registry}/*\"]");
    let server = Server::with(Options::light().and(&tables)).await;
    log_in(&server, &registry.to_string(), PASSWORD);
    let image = format!("{registry}/team/app:1");
    let refused = server.cli(&["deploy", "--image", &image, "--name", "led-away", "--port", "9191", "--json"]);
    let told = said(&refused);
    assert!(!refused.status.success() && told.contains("base-image-unavailable"), "{told}");
    assert!(!told.contains(body), "what is at the private address is shown: {told}");
    assert!(reached.lock().unwrap().iter().any(|head| head.contains("authorization: basic")), "the registry was asked");
    let asked = asked.lock().unwrap().join("\n");
    assert!(!asked.is_empty(), "the engine followed, or nothing is shown here");
    assert!(!asked.contains("authorization"), "the password was sent on: {asked}");
    let tenants = server.http.get("/api/v1/tenant").await.text;
    assert!(!tenants.contains("led-away"), "{tenants}");
}
