//! Builds and starts that fail: told so that a person can act on it, and undone.

use serde_json::json;

use crate::harness::{Options, Server};

#[tokio::test]
async fn a_build_that_fails_names_step_lines_cause_and_next_and_leaves_nothing() {
    let server = Server::start().await;
    // Debian has no npm, so the first program of the Node template's build is missing.
    let body = json!({ "name": "broken", "language": "node", "baseImage": "debian:bookworm-slim" });
    let problem = server.http.post("/api/v1/tenant/spawn", &body).await.expect(422);
    assert_eq!((&problem["step"], &problem["code"]), (&"image".into(), &"build-failed".into()), "{problem}");
    for part in ["likelyCause", "next", "error", "requestId", "operation"] {
        assert!(problem[part].as_str().is_some_and(|text| !text.is_empty()), "{part}: {problem}");
    }
    assert!(problem["log"].as_array().is_some_and(|log| log.len() <= 20), "{problem}");
    let list = server.http.get("/api/v1/tenant").await.expect(200);
    assert_eq!(list["tenants"], json!([]), "it was undone");
    let operation = server.http.get(problem["operation"].as_str().unwrap()).await.expect(200);
    assert_eq!(operation["state"], "failed");

    // Its name and port are free again.
    let tenant = server.spawn_plain("broken", "node").await;
    assert_eq!(tenant["port"], *server.block.tenant_ports().start());
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_port_that_somebody_else_took_is_left_to_them() {
    let server = Server::start().await;
    let first = *server.block.tenant_ports().start();
    let thief = std::net::TcpListener::bind(("127.0.0.1", first)).expect("the block is ours");
    let tenant = server.spawn_plain("second", "go").await;
    assert_eq!(tenant["port"], first + 1);
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    let status = server.http.get(&format!("/api/v1/tenant/{}/status", tenant["envId"])).await.expect(200);
    assert_eq!(status["port"], first + 1);
    drop(thief);
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_full_port_range_is_a_503_that_says_so() {
    let mut server = Server::start().await;
    // Narrow the range to one port; everything else stays as the harness chose it.
    let path = server.config_file();
    let text = std::fs::read_to_string(&path).unwrap();
    let (first, last) = (*server.block.tenant_ports().start(), *server.block.tenant_ports().end());
    std::fs::write(&path, text.replace(&format!("{first}-{last}"), &format!("{first}-{first}"))).unwrap();
    assert!(server.stop());
    server.launch().await;

    let tenant = server.spawn_plain("one", "go").await;
    let body = json!({ "name": "two", "language": "go" });
    let answer = server.http.post("/api/v1/tenant/spawn", &body).await;
    let problem = answer.expect(503);
    assert_eq!(problem["code"], "ports-exhausted", "{problem}");
    assert!(answer.headers.contains_key("retry-after"));
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_base_image_off_the_allowlist_is_refused() {
    let server = Server::start().await;
    for image in ["evil.example/backdoor:latest", "someone/else:1", "not an image", "node@sha256:short"] {
        let body = json!({ "name": "x", "language": "node", "baseImage": image });
        assert_eq!(server.http.post("/api/v1/tenant/spawn", &body).await.violations(422), ["baseImage"], "{image}");
    }
}

#[tokio::test]
async fn a_base_image_that_does_not_exist_is_told_with_what_to_do() {
    let server = Server::start().await;
    let body = json!({ "name": "x", "language": "node", "baseImage": "convergence-no-such-image:1" });
    let problem = server.http.post("/api/v1/tenant/spawn", &body).await.expect(422);
    assert_eq!((&problem["step"], &problem["code"]), (&"image".into(), &"base-image-unavailable".into()), "{problem}");
    assert!(problem["next"].as_str().is_some_and(|next| next.contains("[images]")), "{problem}");
}

#[tokio::test]
async fn a_server_without_an_engine_starts_and_says_what_is_wrong() {
    let server = Server::with(Options {
        tables: "\n[docker]\nsocket = \"/nonexistent/docker.sock\"\n".to_owned(),
        ..Options::default()
    })
    .await;
    assert_eq!(server.http.get("/health").await.status, 200);
    let ready = server.http.get("/ready").await.expect(503);
    let engine = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "engine").unwrap().clone();
    assert_eq!(engine["ok"], false);
    let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": "x", "language": "node" })).await;
    let problem = answer.expect(503);
    assert_eq!(problem["code"], "engine-unreachable", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("/nonexistent/docker.sock"), "{problem}");
    // A dry run needs no engine.
    let plan = server.http.post("/api/v1/tenant/plan", &json!({ "name": "x", "language": "node" })).await;
    assert_eq!(plan.status, 200, "{}", plan.text);

    let doctor = server.cli(&["doctor", "--json", "--config", server.config_file().to_str().unwrap()]);
    assert_eq!(doctor.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("one document");
    let engine = findings["findings"].as_array().unwrap().iter().find(|f| f["check"] == "engine").unwrap().clone();
    assert_eq!(engine["verdict"], "wrong");
    assert!(engine["fix"].as_str().is_some_and(|fix| fix.contains("docker.io")), "{engine}");
}
