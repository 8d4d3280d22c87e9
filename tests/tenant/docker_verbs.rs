//! Stop, start, restart, rename and protect, on the real engine and by the command line.

use std::process::Output;

use serde_json::{Value, json};

use super::docker_reconcile::{SOON, docker, operations};
use crate::harness::{Options, Server, eventually};

fn state(container: &str) -> String {
    docker(&["container", "inspect", "--format", "{{.State.Status}}", container])
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Server {
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    async fn status_of(&self, tenant: &Value) -> String {
        let status = self.http.get(&format!("/api/v1/tenant/{}/status", tenant["envId"])).await.expect(200);
        status["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn what_is_stopped_stays_stopped_when_the_server_is_killed_or_its_container_started_by_hand() {
    let mut server = Server::with(Options::light().and("[reconcile]\ninterval-seconds = 1")).await;
    let tenant = server.spawn_plain("sleeper", "static").await;
    let container = server.container(&tenant);
    assert!(server.done(&["stop", "sleeper"]).contains("is stopped"));
    assert_eq!((state(&container).as_str(), server.status_of(&tenant).await.as_str()), ("exited", "stopped"));

    server.kill();
    server.launch().await;
    docker(&["start", &container]);
    eventually("it is stopped again", SOON, || async {
        let stops = operations(&server, "stop").await;
        let good = stops.iter().filter(|stop| stop["state"] == "succeeded").count();
        if good == 2 && state(&container) == "exited" { Ok(()) } else { Err(format!("{stops:?}")) }
    })
    .await;
    assert!(operations(&server, "repair").await.is_empty());

    let again = server.cli(&["stop", "sleeper"]);
    assert!(!again.status.success() && said(&again).contains("it can be asked to: start"), "{}", said(&again));
    server.done(&["start", "sleeper"]);
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    assert_eq!(server.status_of(&tenant).await, "running");
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_restart_keeps_the_container_and_a_new_name_touches_nothing() {
    let server = Server::with(Options::light()).await;
    let tenant = server.spawn_plain("old-name", "static").await;
    let container = server.container(&tenant);
    let about = |field: &str| docker(&["container", "inspect", "--format", field, &container]);
    let (id, started) = (about("{{.Id}}"), about("{{.State.StartedAt}}"));
    server.done(&["restart", "old-name"]);
    assert_eq!(about("{{.Id}}"), id);
    assert_ne!(about("{{.State.StartedAt}}"), started);
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);

    let started = about("{{.State.StartedAt}}");
    assert!(server.done(&["rename", "old-name", "New Name"]).contains("New Name"));
    server.done(&["repair", "new name"]);
    assert_eq!((about("{{.Id}}"), about("{{.State.StartedAt}}")), (id, started), "a repair finds nothing to do");

    server.done(&["protect", "New Name"]);
    let refused = server.cli(&["destroy", "New Name", "--yes"]);
    assert!(!refused.status.success() && said(&refused).contains("is protected"), "{}", said(&refused));
    let wrong = server.http.delete(&format!("/api/v1/tenant/{}?confirm=other", tenant["envId"])).await;
    assert_eq!(wrong.expect(409)["code"], json!("confirm-mismatch"));
    server.done(&["destroy", "New Name", "--yes", "--confirm", "New Name"]);
}
