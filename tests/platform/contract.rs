//! What the API says of itself, and what a dry run says.

use serde_json::json;

use super::without_engine;

#[tokio::test]
async fn the_openapi_document_lists_every_route_and_can_be_browsed() {
    let server = without_engine().await;
    let document = server.http.get("/api-docs/openapi.json").await.expect(200);
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{}", document["openapi"]);
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in [
        "/api/tenants/provision",
        "/api/tenants/{organizationId}/status",
        "/api/v1/operations/{id}",
        "/api/v1/operations/{id}/events",
        "/api/v1/templates",
        "/api/v1/tenant",
        "/api/v1/tenant/plan",
        "/api/v1/tenant/spawn",
        "/api/v1/tenant/{tenant}",
        "/api/v1/tenant/{tenant}/compose",
        "/api/v1/tenant/{tenant}/dockerfile",
        "/api/v1/tenant/{tenant}/logs",
        "/api/v1/tenant/{tenant}/status",
        "/health",
        "/live",
        "/ready",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    let page = server.http.get("/api-docs/").await;
    assert_eq!(page.status, 200);
    for outside in ["https://", "//cdn", "unpkg"] {
        assert!(!page.text.contains(outside), "the page loads from elsewhere: {}", page.text);
    }
}

#[tokio::test]
async fn a_dry_run_shows_everything_and_does_nothing() {
    let server = without_engine().await;
    for (language, image) in
        [("node", "node:22-bookworm-slim"), ("python", "python:3.12-slim-bookworm"), ("go", "golang:1.24-bookworm")]
    {
        let body = json!({ "name": "dry", "language": language });
        let plan = server.http.post("/api/v1/tenant/plan", &body).await.expect(200);
        let dockerfile = plan["dockerfile"].as_str().unwrap();
        assert!(dockerfile.contains("USER 10001:10001") && dockerfile.contains("ENTRYPOINT []"), "{dockerfile}");
        assert!(plan["compose"].as_str().unwrap().contains("cap_drop"), "{plan}");
        let decisions = &plan["decisions"];
        assert!(decisions["images"].as_object().unwrap().contains_key(image), "{decisions}");
        for plugin in [language, "limits"] {
            let digest = decisions["plugins"][plugin]["digest"].as_str().unwrap_or_default();
            assert!(digest.starts_with("sha256:"), "{plugin}: {decisions}");
        }
        assert_eq!(decisions["limits"], json!({ "cpu": 0.5, "memoryMb": 512, "diskMb": 2048, "pids": 256 }));
        assert!(!decisions["notes"].as_array().unwrap().is_empty());
    }
    assert_eq!(server.http.get("/api/v1/tenant").await.expect(200)["tenants"], json!([]));
}

#[tokio::test]
async fn templates_are_listed_with_what_they_need() {
    let server = without_engine().await;
    let listed = server.http.get("/api/v1/templates").await.expect(200);
    let ids: Vec<&str> = listed["templates"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["go", "node", "python", "static"]);
    for template in listed["templates"].as_array().unwrap() {
        assert!(template["languages"][0]["images"].as_array().is_some_and(|images| !images.is_empty()), "{template}");
    }
}
