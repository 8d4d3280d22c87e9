//! The routes of tenant containers, field by field as the documentation of the service has them that they take the place of:
//! its `provisionTenant`, `startTenantContainer`, `performHealthCheck`, `getResourceMetrics`, and what its tests expect of them.

use std::time::Duration;

use axum::body::Body;
use convergence_runtime::RuntimeError;
use convergence_runtime::fake::Fault;
use serde_json::{Value, json};

use super::site::{Answer, Site, request};

/// The organization of its examples.
const CLIENT: &str = "550e8400-e29b-41d4-a716-446655440001";
/// Another one.
const OTHER: &str = "550e8400-e29b-41d4-a716-446655440002";

/// What its example provisions.
fn example() -> Value {
    json!({
        "organizationId": CLIENT,
        "tenantName": "Acme Corp",
        "cpuLimit": 0.50,
        "memoryLimitMb": 512,
        "diskLimitMb": 2048,
        "imageTag": "latest",
    })
}

/// The example with other fields, of which `null` leaves one out.
fn example_with(other: &Value) -> Value {
    let mut body = example();
    for (name, value) in other.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    body
}

impl Site {
    async fn provision(&self, body: &Value) -> Answer {
        self.json("POST", "/api/tenants/provision", body).await
    }

    /// A verb about the example's container.
    async fn verb(&self, verb: &str) -> Answer {
        let path = format!("/api/tenants/{CLIENT}/{verb}");
        match verb {
            "status" | "health" | "usage" => self.ask("GET", &path).await,
            "scale" => self.json("POST", &path, &json!({ "cpuLimit": 1.0, "memoryLimitMb": 1024 })).await,
            _ => self.ask("POST", &path).await,
        }
    }

    async fn provisioned() -> Self {
        let site = Self::with_node().await;
        let made = site.provision(&example()).await;
        assert_eq!(made.status, 201, "{made:?}");
        site
    }
}

fn keys(document: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The sentence of an error that has the form `{ success: false, error: string }` and nothing else.
#[track_caller]
fn error(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json", "{answer:?}");
    assert!(answer.headers.contains_key("x-request-id"), "{answer:?}");
    assert_eq!(
        (keys(&answer.document).as_slice(), &answer.document["success"]),
        (&["error", "success"][..], &json!(false))
    );
    answer.document["error"].as_str().unwrap().to_owned()
}

/// `{ success: true, containerId?: string }`.
#[track_caller]
fn runs(answer: &Answer) -> String {
    assert_eq!((answer.status.as_u16(), &answer.document["success"]), (200, &json!(true)), "{answer:?}");
    assert_eq!(keys(&answer.document), ["containerId", "success"]);
    answer.document["containerId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_container_is_provisioned_as_the_example_shows() {
    let site = Site::with_node().await;
    let made = site.provision(&example()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.document;
    let fields = ["composePath", "containerId", "containerName", "externalPort", "success", "tenantUrl"];
    assert_eq!(keys(&made), fields);
    assert_eq!(made["success"], true);
    assert!(made["containerId"].as_str().is_some_and(|id| id.parse::<uuid::Uuid>().is_ok()), "{made}");
    assert_eq!(made["containerName"], "t-1");
    assert_eq!((&made["externalPort"], &made["tenantUrl"]), (&json!(3001), &json!("http://localhost:3001")));

    // The path is one of this server, and the container runs.
    let compose = site.ask("GET", made["composePath"].as_str().unwrap()).await;
    assert_eq!(
        (compose.status.as_u16(), &compose.headers["content-type"]),
        (200, &"application/yaml".parse().unwrap())
    );
    let workload = site.runtime.workload("t-1").unwrap();
    assert_eq!((workload.limits.cpu_millis, workload.limits.memory_mb, workload.limits.disk_mb), (500, 512, 2048));

    // It is a tenant like any other, named by the organization.
    let tenant = site.ask("GET", &format!("/api/v1/tenant/{CLIENT}")).await.document;
    let known = (&tenant["language"], &tenant["source"], &tenant["description"]);
    assert_eq!(known, (&json!("node"), &json!("starter"), &json!("Acme Corp")));
}

#[tokio::test]
async fn what_the_example_may_leave_out_has_the_defaults_of_its_documentation() {
    let site = Site::with_node().await;
    let least = json!({ "organizationId": CLIENT, "tenantName": "Test Tenant" });
    assert_eq!(site.provision(&least).await.status, 201);
    let tenant = site.ask("GET", &format!("/api/v1/tenant/{CLIENT}")).await.document;
    assert_eq!(tenant["limits"], json!({ "cpu": 0.5, "memoryMb": 512, "diskMb": 2048, "pids": 256 }));
    assert_eq!(tenant["language"], "node");
}

#[tokio::test]
async fn an_image_is_run_as_it_is() {
    let site = Site::with_node().await;
    let made = site.provision(&example_with(&json!({ "imageTag": "nginx:1" }))).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(site.ask("GET", &format!("/api/v1/tenant/{CLIENT}")).await.document["source"], "image");
    let refused = example_with(&json!({ "organizationId": OTHER, "imageTag": "ghcr.io/acme/shop:1" }));
    assert!(error(&site.provision(&refused).await, 422).starts_with("imageTag: "));
}

#[tokio::test]
async fn each_rule_of_its_validation_is_told_with_the_name_of_the_field() {
    let site = Site::bare().await;
    for (field, wrong) in [
        ("organizationId", json!("invalid-uuid")),
        ("organizationId", json!("550e8400e29b41d4a716446655440001")),
        ("organizationId", Value::Null),
        ("tenantName", json!("")),
        ("tenantName", json!("x".repeat(101))),
        ("tenantName", Value::Null),
        ("cpuLimit", json!(0)),
        ("cpuLimit", json!(-1)),
        ("cpuLimit", json!(5.0)),
        ("memoryLimitMb", json!(255)),
        ("memoryLimitMb", json!(8193)),
        ("diskLimitMb", json!(1023)),
        ("diskLimitMb", json!("2048")),
        ("colour", json!("green")),
    ] {
        let told = error(&site.provision(&example_with(&json!({ field: wrong }))).await, 422);
        assert!(told.contains(field), "{field} {wrong}: {told}");
    }
    let told = error(&site.provision(&example_with(&json!({ "cpuLimit": 5.0, "memoryLimitMb": 1 }))).await, 422);
    assert!(told.contains("cpuLimit: ") && told.contains("memoryLimitMb: "), "each is told: {told}");
}

#[tokio::test]
async fn the_bounds_of_its_validation_are_allowed() {
    let site = Site::with_node().await;
    let least = json!({ "tenantName": "x", "cpuLimit": 0.01, "memoryLimitMb": 256, "diskLimitMb": 1024 });
    assert_eq!(site.provision(&example_with(&least)).await.status, 201);
    let most = json!({
        "organizationId": OTHER, "tenantName": "ü".repeat(100), "cpuLimit": 4.0, "memoryLimitMb": 8192
    });
    assert_eq!(site.provision(&example_with(&most)).await.status, 201);
}

#[tokio::test]
async fn an_organization_has_one_container_and_the_next_one_gets_the_next_port() {
    let site = Site::provisioned().await;
    let upper = example_with(&json!({ "organizationId": CLIENT.to_uppercase(), "tenantName": "Another" }));
    for again in [&example(), &upper] {
        let told = error(&site.provision(again).await, 409);
        assert!(told.contains(CLIENT), "{told}");
    }
    let next = site.provision(&example_with(&json!({ "organizationId": OTHER }))).await.document;
    assert_eq!((&next["externalPort"], &next["tenantUrl"]), (&json!(3002), &json!("http://localhost:3002")));
    assert_eq!(site.verb("terminate").await.status, 200);
    assert_eq!(site.provision(&example()).await.status, 201, "it is gone, so there can be another one");
}

#[tokio::test]
async fn a_container_that_takes_longer_is_answered_with_the_same_fields() {
    let site = Site::with_node().await.waiting(Duration::ZERO);
    site.runtime.next("build", Fault::HangBefore);
    let begun = site.provision(&example()).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let fields = ["composePath", "containerId", "containerName", "externalPort", "success", "tenantUrl"];
    assert_eq!((keys(&begun.document).as_slice(), &begun.document["success"]), (&fields[..], &json!(true)));
    let operation = site.ask("GET", begun.headers["location"].to_str().unwrap()).await;
    assert_eq!((operation.status.as_u16(), &operation.document["kind"]), (200, &json!("spawn")));
    let status = site.verb("status").await.document;
    assert_eq!((&status["status"], &status["running"]), (&json!("provisioning"), &json!(false)));
}

#[tokio::test]
async fn a_container_that_does_not_come_up_says_why() {
    let site = Site::with_node().await;
    let failed = RuntimeError::BuildFailed {
        instruction: "RUN".to_owned(),
        exit_code: Some(1),
        message: "told to fail".to_owned(),
        log: vec!["the last line".to_owned()],
    };
    site.runtime.next("build", Fault::Before(failed));
    let told = error(&site.provision(&example()).await, 422);
    assert!(told.starts_with("step image: "), "{told}");
    error(&site.verb("status").await, 404);
}

#[tokio::test]
async fn a_container_is_stopped_started_restarted_and_terminated() {
    let site = Site::provisioned().await;
    let told = error(&site.verb("start").await, 409);
    assert!(told.contains("running"), "it is already: {told}");

    let stopped = site.verb("stop").await;
    assert_eq!((stopped.status.as_u16(), stopped.document), (200, json!({ "success": true })));
    let told = error(&site.verb("stop").await, 409);
    assert!(told.contains("stopped"), "it is already: {told}");
    error(&site.verb("restart").await, 409);

    let id = runs(&site.verb("start").await);
    assert_eq!(runs(&site.verb("restart").await), id, "the same container");
    let status = site.verb("status").await;
    assert_eq!(status.document["containerId"], json!(id), "{status:?}");

    let gone = site.verb("terminate").await;
    assert_eq!((gone.status.as_u16(), gone.document), (200, json!({ "success": true })));
    assert_eq!(site.runtime.workload("t-1"), None);
    error(&site.verb("terminate").await, 404);
}

#[tokio::test]
async fn the_status_of_a_container_says_whether_it_runs() {
    let site = Site::provisioned().await;
    let status = site.verb("status").await;
    assert_eq!(status.status, 200, "{status:?}");
    let fields = [
        "containerId",
        "containerName",
        "externalPort",
        "healthStatus",
        "running",
        "status",
        "success",
        "tenantName",
        "tenantUrl",
    ];
    let status = status.document;
    assert_eq!(keys(&status), fields);
    assert_eq!(
        (&status["success"], &status["running"], &status["status"]),
        (&json!(true), &json!(true), &json!("running"))
    );
    assert_eq!((&status["tenantName"], &status["containerName"]), (&json!("Acme Corp"), &json!("t-1")));
    assert!(["healthy", "starting", "unknown"].contains(&status["healthStatus"].as_str().unwrap()), "{status}");

    assert_eq!(site.verb("stop").await.status, 200);
    let status = site.verb("status").await.document;
    assert_eq!((&status["running"], &status["status"]), (&json!(false), &json!("stopped")));
    assert_eq!(status["healthStatus"], "unknown");
}

#[tokio::test]
async fn the_health_of_a_container_is_known_whatever_it_is() {
    let site = Site::provisioned().await;
    let healthy = site.verb("health").await;
    assert_eq!((healthy.status.as_u16(), healthy.document), (200, json!({ "success": true, "healthy": true })));

    assert_eq!(site.verb("stop").await.status, 200);
    let stopped = site.verb("health").await.document;
    assert_eq!(keys(&stopped), ["error", "healthy", "success"]);
    assert_eq!((&stopped["success"], &stopped["healthy"]), (&json!(true), &json!(false)));
    assert!(stopped["error"].as_str().unwrap().contains("not running"), "{stopped}");
}

#[tokio::test]
async fn a_container_whose_check_fails_is_not_healthy() {
    let site = Site::provisioned().await;
    site.runtime.hang("t-1");
    let ill = site.verb("health").await.document;
    assert_eq!((&ill["success"], &ill["healthy"]), (&json!(true), &json!(false)), "{ill}");
    assert!(ill["error"].is_string(), "{ill}");
}

#[tokio::test]
async fn all_containers_of_organizations_are_checked_at_once() {
    let site = Site::provisioned().await;
    assert_eq!(site.provision(&example_with(&json!({ "organizationId": OTHER }))).await.status, 201);
    let shop = site.json("POST", "/api/v1/tenant/spawn", &json!({ "name": "shop", "language": "node" })).await;
    assert_eq!(shop.status, 201);
    assert_eq!(site.verb("stop").await.status, 200);
    let checked = site.ask("GET", "/api/tenants/health-check").await;
    assert_eq!(checked.status, 200, "{checked:?}");
    let checked = checked.document;
    assert_eq!((keys(&checked).as_slice(), &checked["success"]), (&["results", "success"][..], &json!(true)));
    let results = checked["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "a tenant that no organization names is none of them: {checked}");
    assert_eq!(keys(&results[0]), ["containerName", "error", "healthy", "organizationId"]);
    assert_eq!((&results[0]["organizationId"], &results[0]["healthy"]), (&json!(CLIENT), &json!(false)));
    assert_eq!(results[1], json!({ "organizationId": OTHER, "containerName": "t-2", "healthy": true }));
}

#[tokio::test]
async fn the_usage_of_a_container_is_told_while_it_runs() {
    let site = Site::provisioned().await;
    let usage = site.verb("usage").await;
    assert_eq!((usage.status.as_u16(), keys(&usage.document).as_slice()), (200, &["metrics", "success"][..]));
    let metrics = &usage.document["metrics"];
    assert_eq!(keys(metrics), ["cpuPercent", "memoryLimitMb", "memoryUsageMb"]);
    assert!(metrics["cpuPercent"].is_number(), "{metrics}");
    assert_eq!((&metrics["memoryUsageMb"], &metrics["memoryLimitMb"]), (&json!(10), &json!(512)));

    assert_eq!(site.verb("stop").await.status, 200);
    assert_eq!(site.verb("usage").await.document, json!({ "success": true }), "there is nothing to measure");
}

#[tokio::test]
async fn a_container_is_scaled_and_not_only_in_the_database() {
    let site = Site::provisioned().await;
    runs(&site.verb("scale").await);
    let limits = site.runtime.workload("t-1").unwrap().limits;
    assert_eq!((limits.cpu_millis, limits.memory_mb, limits.disk_mb), (1000, 1024, 2048), "what is absent stays");
    assert_eq!(site.verb("usage").await.document["metrics"]["memoryLimitMb"], 1024);

    let path = format!("/api/tenants/{CLIENT}/scale");
    for (field, wrong) in [("cpuLimit", json!(4.5)), ("memoryLimitMb", json!(64)), ("diskLimitMb", json!(1))] {
        let told = error(&site.json("POST", &path, &json!({ field: wrong })).await, 422);
        assert!(told.starts_with(&format!("{field}: ")), "{told}");
    }
}

#[tokio::test]
async fn an_organization_without_a_container_is_not_found_and_what_is_no_uuid_is_refused() {
    let site = Site::bare().await;
    for verb in ["start", "stop", "restart", "scale", "terminate", "status", "health", "usage"] {
        assert_eq!(error(&site.verb(verb).await, 404), "there is no such tenant", "{verb}");
        let method = if ["status", "health", "usage"].contains(&verb) { "GET" } else { "POST" };
        let answer = site.json(method, &format!("/api/tenants/test-org-id/{verb}"), &json!({})).await;
        assert!(error(&answer, 422).starts_with("organizationId: "), "{verb}: {answer:?}");
    }
}

#[tokio::test]
async fn every_error_below_the_path_has_the_same_form() {
    let site = Site::bare().await;
    let provision = || request("POST", "/api/tenants/provision");
    let json = "application/json";
    for (status, request) in [
        (400, provision().header("content-type", json).body(Body::from("{"))),
        (400, provision().header("host", "elsewhere.example").body(Body::empty())),
        (403, provision().header("origin", "https://elsewhere.example").body(Body::empty())),
        (404, request("GET", "/api/tenants/nothing/at/all").body(Body::empty())),
        (405, request("DELETE", "/api/tenants/provision").body(Body::empty())),
        (415, provision().body(Body::from("{}"))),
    ] {
        error(&site.send(request.unwrap()).await, status);
    }
    // And no other path has it.
    assert_eq!(site.ask("GET", "/api/tenants").await.headers["content-type"], "application/problem+json");
}

#[test]
fn the_document_says_of_every_error_what_is_answered() {
    let document = serde_json::to_value(crate::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let ours: Vec<_> = paths.iter().filter(|(path, _)| path.starts_with("/api/tenants/")).collect();
    assert_eq!(ours.len(), 10);
    for (path, item) in ours {
        for operation in item.as_object().unwrap().values() {
            assert_eq!(operation["tags"], json!(["container"]), "{path}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = response["content"].as_object().unwrap();
                assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json"], "{path} {status}");
                let is_refusal = content["application/json"]["schema"]["$ref"] == "#/components/schemas/Refusal";
                assert_eq!(is_refusal, !status.starts_with('2'), "{path} {status}");
            }
        }
    }
    let body = &document["components"]["schemas"]["ProvisionBody"]["properties"]["organizationId"]["pattern"];
    let parameters = paths["/api/tenants/{organizationId}/start"]["post"]["parameters"].as_array().unwrap();
    assert_eq!(body, &parameters[0]["schema"]["pattern"], "a UUID is the same in a body and in a path");
}
