//! Every language that is shipped, and one that is not.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Options, Server};

/// What `docker` prints.
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker can be run");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn inspect(container: &str) -> Value {
    let text = docker(&["inspect", container]);
    serde_json::from_str::<Value>(&text).expect("docker prints JSON")[0].clone()
}

async fn lives(language: &str) {
    let server = Server::start().await;
    let tenant = server.spawn_plain("app", language).await;
    let health = server.ask(&tenant, "/health").await;
    assert_eq!((health.status, health.json()), (200, json!({ "status": "ok" })));

    let container = inspect(&server.container(&tenant));
    let host = &container["HostConfig"];
    assert_eq!(container["Config"]["User"], "10001:10001");
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["Init"], true);
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&json!(512 << 20), &json!(512 << 20)));
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(host["PidsLimit"], 256);
    let ports = container["NetworkSettings"]["Ports"].as_object().expect("ports").values().collect::<Vec<_>>();
    assert_eq!(ports, [&json!([{ "HostIp": "127.0.0.1", "HostPort": tenant["port"].to_string() }])]);

    let env: BTreeMap<&str, &str> = container["Config"]["Env"]
        .as_array()
        .expect("variables")
        .iter()
        .filter_map(|pair| pair.as_str()?.split_once('='))
        .collect();
    let id = tenant["envId"].to_string();
    let expected = [
        ("CONVERGENCE_ORG_ID", "1"),
        ("CONVERGENCE_ENV_ID", id.as_str()),
        ("TENANT_ID", "tenant_1"),
        ("TENANT_NAME", "app"),
        ("NODE_ENV", "production"),
        ("LOG_LEVEL", "info"),
        ("CONVERGENCE_API_KEY", tenant["apiKey"].as_str().expect("a key")),
    ];
    for (name, value) in expected {
        assert_eq!(env.get(name), Some(&value), "{name}");
    }
    assert!(env["CONVERGENCE_API_URL"].ends_with("/api/v1"), "{env:?}");
    for secret in ["DATABASE_URL", "RUST_LOG", "CONVERGENCE_CONFIG"] {
        assert!(!env.contains_key(secret), "the server's own {secret} must not reach a tenant");
    }

    // Stopping at once is what the starter promises: a destroy of a hanging app would take its whole grace.
    let began = std::time::Instant::now();
    docker(&["stop", "--time", "20", &server.container(&tenant)]);
    assert!(began.elapsed().as_secs() < 10, "it did not stop on SIGTERM: {:?}", began.elapsed());
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_node_tenant_lives() {
    lives("node").await;
}

#[tokio::test]
async fn a_python_tenant_lives() {
    lives("python").await;
}

#[tokio::test]
async fn a_go_tenant_lives() {
    lives("go").await;
}

#[tokio::test]
async fn a_site_of_files_lives() {
    lives("site").await;
}

#[tokio::test]
async fn a_build_may_be_given_certificate_authorities_that_the_image_does_not_keep() {
    let server = Server::with(Options {
        tables: "\n[build]\nca-bundle = \"/etc/ssl/certs/ca-certificates.crt\"\n".to_owned(),
        ..Options::default()
    })
    .await;
    let tenant = server.spawn_plain("app", "node").await;
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    let dockerfile = server.http.get(&format!("/api/v1/tenant/{}/dockerfile", tenant["envId"])).await;
    assert!(dockerfile.text.contains("/run/convergence/ca-certificates.crt"), "{}", dockerfile.text);
    let seen =
        Command::new("docker").args(["exec", &server.container(&tenant), "ls", "/run/convergence"]).output().unwrap();
    assert!(!seen.status.success(), "the bundle is in the image");
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_fourth_language_is_one_file_in_the_plugins_folder() {
    let server = Server::with(Options {
        plugins: vec!["examples/rust/static-site.wasm", "policies/limits.wasm"],
        ..Options::default()
    })
    .await;
    let listed = server.http.get("/api/v1/templates").await.expect(200);
    let language = listed["templates"][0]["languages"][0]["name"].as_str().expect("a language").to_owned();
    assert!(!["node", "python", "go", "site"].contains(&language.as_str()), "{listed}");
    let tenant = server.spawn_plain("site", &language).await;
    assert_eq!(server.ask(&tenant, "/").await.status, 200);
    server.destroy(&tenant).await;
}
