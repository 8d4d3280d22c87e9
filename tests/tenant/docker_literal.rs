//! What people write stays what they wrote, all the way into the container.

use std::process::Command;

use serde_json::json;

use super::{NASTY, nasty_env};
use crate::harness::Server;

#[tokio::test]
async fn values_reach_the_container_as_they_were_written() {
    let server = Server::start().await;
    let tenant = server.spawn(json!({ "name": "literal", "language": "node", "env": nasty_env() })).await;

    let script = "console.log(JSON.stringify(process.env))";
    let output =
        Command::new("docker").args(["exec", &server.container(&tenant), "node", "-e", script]).output().unwrap();
    let seen: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("the app's own runtime prints its variables");
    for (index, value) in NASTY.iter().enumerate() {
        let name = format!("NASTY_{index}");
        assert_eq!(seen[&name], json!(value), "{name} in the container");
    }
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_name_that_is_an_instruction_is_refused_and_nothing_is_made() {
    let server = Server::start().await;
    for name in ["x\nADD http://127.0.0.1/ /", "$HOME", "../x", "a\u{0}b", "", "\u{202e}x"] {
        let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": name, "language": "node" })).await;
        assert_eq!(answer.violations(422), ["name"], "{name:?}");
    }
    let list = server.http.get("/api/v1/tenant").await.expect(200);
    assert_eq!(list["tenants"], json!([]));
}
