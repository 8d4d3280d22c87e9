//! The curl tours of the original documentation, as printed there.

use std::process::Command;

use serde_json::Value;

use crate::harness::Server;

/// From the quick reference.
const SPAWN: &str = r#"curl -X POST http://localhost:3000/api/v1/tenant/spawn \
  -H "Content-Type: application/json" \
  -d '{
    "name": "my-app",
    "language": "node",
    "framework": "express"
  }'"#;
const STATUS: &str = "curl http://localhost:3000/api/v1/tenant/1/status";
const LOGS: &str = "curl http://localhost:3000/api/v1/tenant/1/logs";
/// Unquoted, as printed: a shell takes `?` for a glob that matches nothing.
const LIST: &str = "curl http://localhost:3000/api/v1/tenant?org_id=1";
const DESTROY: &str = "curl -X DELETE http://localhost:3000/api/v1/tenant/1";

/// Runs a command as printed, against this test's server and its tenant's number.
fn run(server: &Server, command: &str, tenant: i64) -> Value {
    let command = command
        .replace("localhost:3000", &format!("localhost:{}", server.block.api_port()))
        .replace("/tenant/1", &format!("/tenant/{tenant}"))
        .replacen("curl", "curl --silent --show-error", 1);
    let output = Command::new("bash").args(["-c", &command]).output().expect("bash can be run");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{command}\n{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn keys(document: &Value) -> Vec<&str> {
    document.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn the_tours_of_the_first_documentation_work_as_printed() {
    let server = Server::start().await;
    for tour in 1..=2 {
        let spawned = run(&server, SPAWN, 0);
        assert_eq!(spawned["success"], true, "{spawned}");
        let tenant = &spawned["tenant"];
        assert_eq!(keys(tenant), ["apiKey", "createdAt", "envId", "name", "orgId", "port", "status"]);
        assert_eq!(
            (&tenant["name"], &tenant["orgId"], &tenant["status"]),
            (&"my-app".into(), &1.into(), &"running".into())
        );
        assert!(tenant["apiKey"].as_str().is_some_and(|key| key.starts_with("sk_tenant_")), "{tenant}");
        assert_eq!(tenant["envId"], tour, "numbers are never used again");
        assert_eq!(
            tenant["port"],
            *server.block.tenant_ports().start(),
            "the lowest free port, again after the first tour"
        );
        let id = tenant["envId"].as_i64().expect("a number");

        let health = server.ask(tenant, "/health").await;
        assert_eq!((health.status, health.json()), (200, serde_json::json!({ "status": "ok" })));

        let status = run(&server, STATUS, id);
        assert_eq!(
            keys(&status),
            [
                "containerName",
                "cpuUsage",
                "envId",
                "health",
                "measuredAt",
                "memoryUsage",
                "name",
                "port",
                "restarts",
                "status",
                "uptime"
            ]
        );
        assert_eq!(
            (&status["status"], &status["containerName"]),
            (&"running".into(), &server.container(tenant).into())
        );
        assert!(status["uptime"].is_u64(), "{status}");
        assert!(status["cpuUsage"].as_str().is_some_and(|cpu| cpu.ends_with('%')), "{status}");
        let memory = status["memoryUsage"].as_str().and_then(|memory| memory.strip_suffix("MB")?.parse::<u64>().ok());
        assert!(memory.is_some_and(|mb| (5..512).contains(&mb)), "{status}");

        let logs = run(&server, LOGS, id);
        let lines = logs["logs"].as_array().expect("a list");
        assert!(
            lines.iter().any(|line| line.as_str().is_some_and(|line| line.contains("Listening on port"))),
            "{logs}"
        );

        let list = run(&server, LIST, id);
        assert_eq!(list["tenants"].as_array().map(Vec::len), Some(1), "{list}");
        assert_eq!(keys(&list["tenants"][0]), ["createdAt", "envId", "name", "port", "status"]);

        let destroyed = run(&server, DESTROY, id);
        assert_eq!(destroyed, serde_json::json!({ "success": true, "result": "Environment removed successfully" }));
        assert_eq!(server.http.get(&format!("/api/v1/tenant/{id}/status")).await.status, 404);
    }
}
