//! The routes of tenant containers on a real engine: the command of the documentation that they come from, as printed there,
//! and the way of a container from there to its end.

use std::process::Command;

use serde_json::{Value, json};

use super::docker_reconcile::docker;
use crate::harness::{Http, Server};

/// From its deployment guide.
const PROVISION: &str = r#"curl -X POST http://localhost:3008/api/tenants/provision \
  -H "Content-Type: application/json" \
  -d '{
    "organizationId": "uuid",
    "tenantName": "Acme Corp",
    "cpuLimit": 0.50,
    "memoryLimitMb": 512
  }'"#;
/// The organization of its examples.
const CLIENT: &str = "550e8400-e29b-41d4-a716-446655440001";

fn run(server: &Server, command: &str) -> Value {
    let command = command
        .replace("localhost:3008", &format!("localhost:{}", server.block.api_port()))
        .replace("\"uuid\"", &format!("\"{CLIENT}\""))
        .replacen("curl", "curl --silent --show-error", 1);
    let output = Command::new("bash").args(["-c", &command]).output().expect("bash can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{command}\n{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_container_is_provisioned_as_printed_and_does_what_it_is_asked() {
    let server = Server::start().await;
    let made = run(&server, PROVISION);
    assert_eq!(made["success"], true, "{made}\n{}", server.log());
    let container = made["containerName"].as_str().unwrap();
    let about = |field: &str| docker(&["container", "inspect", "--format", field, container]);
    let port = u16::try_from(made["externalPort"].as_u64().unwrap()).unwrap();
    assert_eq!(made["tenantUrl"], format!("http://localhost:{port}"));
    assert_eq!(Http::new(port).get("/health").await.status, 200);
    let compose = server.http.get(made["composePath"].as_str().unwrap()).await;
    assert!(compose.status == 200 && compose.text.contains(container), "{}", compose.text);

    let ask = async |verb: &str| server.http.get(&format!("/api/tenants/{CLIENT}/{verb}")).await.expect(200);
    let order = async |verb: &str, body: Value| server.http.post(&format!("/api/tenants/{CLIENT}/{verb}"), &body).await;
    let status = ask("status").await;
    assert_eq!((&status["running"], &status["containerId"]), (&json!(true), &json!(about("{{.Id}}"))));
    assert_eq!(ask("health").await, json!({ "success": true, "healthy": true }));
    let metrics = ask("usage").await["metrics"].clone();
    assert!(metrics["memoryUsageMb"].as_u64().is_some_and(|mb| (1..512).contains(&mb)), "{metrics}");

    assert_eq!(order("scale", json!({ "cpuLimit": 1.0 })).await.expect(200)["success"], true);
    assert_eq!(about("{{.HostConfig.NanoCpus}}"), "1000000000");
    assert_eq!(order("stop", json!({})).await.expect(200), json!({ "success": true }));
    assert_eq!(about("{{.State.Running}}"), "false");
    assert_eq!(ask("health").await["healthy"], false);
    let again = order("stop", json!({})).await.expect(409);
    assert!(again["success"] == false && again["error"].is_string(), "{again}");
    let started = order("start", json!({})).await.expect(200);
    assert_eq!((&started["containerId"], about("{{.State.Running}}").as_str()), (&json!(about("{{.Id}}")), "true"));
    assert_eq!(order("terminate", json!({})).await.expect(200), json!({ "success": true }));
    assert_eq!(order("terminate", json!({})).await.status, 404);
}
