//! What people write stays what they wrote, all the way into the container.

use std::process::Command;

use serde_json::json;

use crate::harness::Server;

/// Each is an attack somewhere: a shell, a Dockerfile, Compose, YAML, a glob, a template.
const NASTY: &[&str] = &[
    "$HOME",
    "${HOME}",
    "$$",
    "${CONVERGENCE_API_KEY}",
    "$(id)",
    "`id`",
    "\"quoted\" 'twice'",
    "a\nADD http://127.0.0.1/ /",
    "key: [yaml, {a: 1}] # comment",
    "*.js ?[a-z]",
    "yes",
    "1e3",
    "~",
    "\\n \\",
    "{{ .Env }} %s",
    "  spaces  ",
    "",
    "ünïcödé 🦀",
];

#[tokio::test]
async fn values_reach_the_container_as_they_were_written() {
    let server = Server::start().await;
    let env: serde_json::Map<String, serde_json::Value> =
        NASTY.iter().enumerate().map(|(index, value)| (format!("NASTY_{index}"), json!(value))).collect();
    let tenant = server.spawn(json!({ "name": "literal", "language": "node", "env": env })).await;

    let script = "console.log(JSON.stringify(process.env))";
    let output =
        Command::new("docker").args(["exec", &server.container(&tenant), "node", "-e", script]).output().unwrap();
    let seen: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("the app's own runtime prints its variables");
    let compose = server.http.get(&format!("/api/v1/tenant/{}/compose", tenant["envId"])).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("docker-compose.yml"), &compose.text).unwrap();
    let config = Command::new("docker-compose")
        .args(["config"])
        .current_dir(folder.path())
        .env("CONVERGENCE_API_KEY", "sk")
        .output()
        .expect("docker-compose can be run: `apt-get install docker-compose`");
    assert!(config.status.success(), "{}\n{}", String::from_utf8_lossy(&config.stderr), compose.text);
    let config = String::from_utf8(config.stdout).unwrap();

    for (index, value) in NASTY.iter().enumerate() {
        let name = format!("NASTY_{index}");
        assert_eq!(seen[&name], json!(value), "{name} in the container");
        let _ = &config;
    }
    assert!(!compose.text.contains(tenant["apiKey"].as_str().unwrap()), "the key is in the Compose file");
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
