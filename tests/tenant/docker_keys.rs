//! Requests that are sent again, and many that come at once: what is asked once is done once.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::http::Answer;
use crate::harness::{Options, Proxy, Server};

const SPAWN: &str = "/api/v1/tenant/spawn";

async fn keyed(server: &Server, key: &str, body: &Value) -> Answer {
    server.http.send(server.http.request(Method::POST, SPAWN).header("idempotency-key", key).json(body)).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_answered_again_and_told_when_its_tenant_is_gone() {
    let mut server = Server::with(Options::light()).await;
    let body = json!({ "name": "once", "language": "static" });
    let first = keyed(&server, "k-1", &body).await;
    let tenant = first.expect(201)["tenant"].clone();
    assert!(!is_replay(&first));

    let again = keyed(&server, "k-1", &body).await;
    assert_eq!(again.expect(201), first.json(), "the same tenant with the same key");
    assert!(is_replay(&again));
    assert_eq!(again.headers.get("location"), first.headers.get("location"));
    // How long somebody waits is no part of what is asked.
    let patient = server.http.request(Method::POST, &format!("{SPAWN}?wait=10")).header("idempotency-key", "k-1");
    assert!(is_replay(&server.http.send(patient.json(&body)).await));

    assert!(server.stop());
    server.launch().await;
    assert_eq!(keyed(&server, "k-1", &body).await.expect(201), first.json(), "after a restart");

    server.destroy(&tenant).await;
    let gone = keyed(&server, "k-1", &body).await;
    assert_eq!(gone.expect(410)["code"], "tenant-gone", "after the tenant was destroyed");
    assert!(is_replay(&gone));
    assert_eq!(server.http.get("/api/v1/tenant").await.expect(200)["tenants"], json!([]), "nothing came back");
}

#[tokio::test]
async fn a_key_is_for_one_request_and_only_what_is_accepted_uses_it_up() {
    let server = Server::with(Options::light()).await;
    let long = "k".repeat(256);
    for bad in ["", "with space", long.as_str()] {
        let problem = keyed(&server, bad, &json!({ "name": "x", "language": "static" })).await.expect(400);
        assert_eq!(problem["code"], "bad-idempotency-key", "{bad:?}: {problem}");
    }
    let twice = server.http.request(Method::POST, SPAWN).header("idempotency-key", "a").header("idempotency-key", "b");
    let problem = server.http.send(twice.json(&json!({ "name": "x", "language": "static" }))).await.expect(400);
    assert_eq!(problem["code"], "bad-idempotency-key");

    // Refused by the body's form, by a policy's or template's rules, by a taken name: none of them uses the key up.
    let tenant = server.spawn_plain("taken", "static").await;
    assert_eq!(keyed(&server, "k", &json!({ "name": "No!", "language": "static" })).await.status, 422);
    assert_eq!(keyed(&server, "k", &json!({ "name": "x", "language": "cobol" })).await.status, 422);
    assert_eq!(keyed(&server, "k", &json!({ "name": "taken", "language": "static" })).await.status, 409);
    let other = keyed(&server, "k", &json!({ "name": "other", "language": "static" })).await;
    assert!(!is_replay(&other));
    let other = other.expect(201)["tenant"].clone();

    for body in [
        json!({ "name": "other", "language": "static", "env": { "A": "1" } }),
        json!({ "name": "another", "language": "static" }),
        json!({ "name": "other", "language": "static", "limits": { "memoryMb": 128 } }),
    ] {
        let problem = keyed(&server, "k", &body).await.expect(422);
        assert_eq!(problem["code"], "idempotency-key-reused", "{problem}");
    }
    assert_eq!(server.http.get("/api/v1/tenant").await.expect(200)["tenants"].as_array().unwrap().len(), 2);
    server.destroy(&tenant).await;
    server.destroy(&other).await;
}

#[tokio::test]
async fn a_spawn_that_failed_is_told_again_as_it_failed() {
    let proxy = Proxy::of_engine();
    let server = Server::with(Options { plugins: vec!["templates/node.wasm"], ..Options::behind(&proxy) }).await;
    let body = json!({ "name": "broken", "language": "node", "baseImage": "debian:bookworm-slim" });
    let first = keyed(&server, "k", &body).await;
    let problem = first.expect(422);
    assert!(!is_replay(&first));
    let builds = proxy.count("POST", "/build");
    assert!(builds > 0);

    let again = keyed(&server, "k", &body).await;
    let mut replayed = again.expect(422);
    assert!(is_replay(&again), "{:?}", again.headers);
    assert_eq!(again.headers.get("content-type").unwrap(), "application/problem+json");
    replayed["requestId"] = problem["requestId"].clone();
    assert_eq!(replayed, problem, "the same but for the request's own id");
    assert_eq!(proxy.count("POST", "/build"), builds, "nothing was built again");
}

#[tokio::test]
async fn a_hundred_requests_with_one_key_at_once_make_one_tenant() {
    let server = Server::with(Options::light()).await;
    let body = json!({ "name": "only", "language": "static" });
    let sent = (0..100).map(|_| keyed(&server, "k", &body));
    let answers = futures_util::future::join_all(sent).await;
    let tenants: BTreeSet<String> = answers.iter().map(|answer| answer.expect(201)["tenant"].to_string()).collect();
    assert_eq!(tenants.len(), 1, "{tenants:?}");
    assert_eq!(answers.iter().filter(|answer| !is_replay(answer)).count(), 1, "one of them began it");
    assert_eq!(server.http.get("/api/v1/operations").await.expect(200)["operations"].as_array().unwrap().len(), 1);
    let tenant = answers[0].json()["tenant"].clone();
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn sixty_four_spawns_of_one_name_at_once_make_one_tenant_and_sixty_three_conflicts() {
    let server = Server::with(Options::light()).await;
    let body = json!({ "name": "contended", "language": "static" });
    let sent = (0..64).map(|_| server.http.post(SPAWN, &body));
    let answers = futures_util::future::join_all(sent).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 63));
    for answer in lost {
        assert_eq!(answer.expect(409)["code"], "name-taken", "{}", answer.text);
    }
    server.destroy(&won[0].json()["tenant"]).await;
}

#[tokio::test]
async fn twenty_spawns_at_once_get_twenty_ports() {
    let server = Server::with(Options::light()).await;
    let spawn = |number: usize| {
        let body = json!({ "name": format!("app-{number}"), "language": "static" });
        let server = &server;
        async move { server.http.post(SPAWN, &body).await.expect(201)["tenant"].clone() }
    };
    let tenants = futures_util::future::join_all((0..20).map(spawn)).await;
    let ports: BTreeSet<u64> = tenants.iter().map(|tenant| tenant["port"].as_u64().unwrap()).collect();
    let first = u64::from(*server.block.tenant_ports().start());
    assert_eq!(ports, (first..first + 20).collect(), "the twenty lowest, each once");
    for tenant in &tenants {
        assert_eq!(server.ask(tenant, "/health").await.status, 200);
        let output = std::process::Command::new("docker").args(["port", &server.container(tenant)]).output().unwrap();
        let published = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(published.ends_with(&format!("127.0.0.1:{}", tenant["port"])), "{published}: {tenant}");
    }
    futures_util::future::join_all(tenants.iter().map(|tenant| server.destroy(tenant))).await;
}
