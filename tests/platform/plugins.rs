//! Whatever is in the plugins folder, the server starts and says what is wrong.

use serde_json::{Value, json};

use crate::harness::{Options, Server, components};

const NO_ENGINE: &str = "\n[docker]\nsocket = \"/nonexistent/docker.sock\"\n";

fn plugins_check(ready: &Value) -> Value {
    ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "plugins").unwrap().clone()
}

#[tokio::test]
async fn a_missing_folder_is_told() {
    let server =
        Server::with(Options { plugins_folder: false, tables: NO_ENGINE.to_owned(), ..Options::default() }).await;
    let check = plugins_check(&server.http.get("/ready").await.expect(503));
    assert_eq!(check["ok"], false);
    assert!(check["detail"].as_str().unwrap().contains("plugins"), "{check}");
    let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": "x", "language": "node" })).await;
    let problem = answer.expect(503);
    assert_eq!(problem["code"], "no-templates", "{problem}");
    assert!(problem["next"].as_str().unwrap().contains("plugins folder"), "{problem}");
}

#[tokio::test]
async fn a_broken_component_is_rejected_with_the_reason_and_the_others_work() {
    let mut server = Server::with(Options { tables: NO_ENGINE.to_owned(), ..Options::default() }).await;
    assert!(server.stop());
    let plugins = server.plugins();
    std::fs::write(plugins.join("not-wasm.wasm"), b"#!/bin/sh").unwrap();
    std::fs::write(plugins.join("empty.wasm"), b"").unwrap();
    let good = std::fs::read(components().join("templates/node.wasm")).unwrap();
    std::fs::write(plugins.join("truncated.wasm"), &good[..good.len() / 2]).unwrap();
    let mut flipped = good;
    let middle = flipped.len() / 2;
    flipped[middle..middle + 64].fill(0xff);
    std::fs::write(plugins.join("flipped.wasm"), flipped).unwrap();
    server.launch().await;

    let check = plugins_check(&server.http.get("/ready").await.expect(503));
    assert_eq!(check["ok"], true, "node, python and go still work: {check}");
    for file in ["not-wasm.wasm", "empty.wasm", "truncated.wasm", "flipped.wasm"] {
        assert!(check["detail"].as_str().unwrap().contains(file), "{file} is not named: {check}");
    }
    let plan = server.http.post("/api/v1/tenant/plan", &json!({ "name": "x", "language": "node" })).await;
    assert_eq!(plan.status, 200, "{}", plan.text);
}

#[tokio::test]
async fn bounds_are_the_policys_configuration() {
    let server = Server::with(Options {
        tables: format!("{NO_ENGINE}\n[plugins.limits.cpu]\nmaximum = 1.0\n"),
        ..Options::default()
    })
    .await;
    let body = json!({ "name": "x", "language": "node", "limits": { "cpu": 1.5 } });
    assert_eq!(server.http.post("/api/v1/tenant/plan", &body).await.violations(422), ["limits.cpu"]);
}

#[tokio::test]
async fn what_a_policy_says_is_told_with_its_name() {
    let asked = async |act: &str| {
        let tables = format!("{NO_ENGINE}\n[plugins.hostile-policy]\ndo = \"{act}\"\n");
        let mut server = Server::with(Options { tables, ..Options::default() }).await;
        assert!(server.stop());
        let policy = components().join("fixtures/hostile-policy.wasm");
        std::fs::copy(policy, server.plugins().join("hostile-policy.wasm")).unwrap();
        server.launch().await;
        server.http.post("/api/v1/tenant/plan", &json!({ "name": "my-app", "language": "node" })).await
    };
    let denied = asked("deny").await.expect(422);
    assert_eq!(denied["violations"][0]["policy"], "hostile-policy", "{denied}");
    assert_eq!(denied["detail"], "name: choose another name (policy `hostile-policy`)");

    let warned = asked("warn").await.expect(200);
    assert_eq!(warned["decisions"]["warnings"], json!(["name: an odd name (policy `hostile-policy`)"]));

    // The caller asked for enough: it is the policy that leaves nothing.
    let emptied = asked("take-all").await.expect(502);
    assert!(emptied["detail"].as_str().unwrap().contains("hostile-policy"), "{emptied}");
    assert!(!emptied["detail"].as_str().unwrap().contains("memoryMb"), "{emptied}");
}
