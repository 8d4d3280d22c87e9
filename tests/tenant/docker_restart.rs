//! A server that is killed loses nothing it has acknowledged.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Server, eventually};

#[tokio::test]
async fn a_spawn_that_was_accepted_survives_a_kill() {
    let mut server = Server::start().await;
    let request = server.http.request(reqwest::Method::POST, "/api/v1/tenant/spawn").header("prefer", "respond-async");
    let accepted = server.http.send(request.json(&json!({ "name": "durable", "language": "node" }))).await.expect(202);
    assert_eq!(accepted["tenant"]["status"], "provisioning");
    let watch = accepted["operation"]["url"].as_str().unwrap().to_owned();
    server.kill();
    server.launch().await;

    let http = server.http.clone();
    eventually("the operation goes on", Duration::from_secs(90), || async {
        match http.get(&watch).await.json()["state"].as_str() {
            Some("succeeded") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let tenant = &accepted["tenant"];
    assert_eq!(server.ask(tenant, "/health").await.status, 200);

    // The key that was answered before the kill is the one the container has after it.
    let container = server.container(tenant);
    let output = std::process::Command::new("docker")
        .args(["exec", &container, "node", "-e", "console.log(process.env.CONVERGENCE_API_KEY)"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), tenant["apiKey"].as_str().unwrap());
    server.destroy(tenant).await;
}

#[tokio::test]
async fn tenants_outlive_the_server() {
    let mut server = Server::start().await;
    let tenant = server.spawn_plain("steady", "go").await;
    assert!(server.stop());
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.launch().await;
    let status = server.http.get(&format!("/api/v1/tenant/{}/status", tenant["envId"])).await.expect(200);
    assert_eq!(status["status"], "running");
    server.destroy(&tenant).await;
}
