//! Every kind of bad input is a 4xx that names the field, and makes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use super::without_engine;

/// A good body with one thing changed.
fn with(key: &str, value: Value) -> Value {
    let mut body = json!({ "name": "x", "language": "node" });
    body[key] = value;
    body
}

#[tokio::test]
async fn bad_fields_are_answered_with_their_paths() {
    let server = without_engine().await;
    let cases: Vec<(Value, &str)> = vec![
        (with("colour", json!("red")), "colour"),
        (with("limits", json!({ "ram": 1 })), "limits.ram"),
        (with("name", json!(7)), "name"),
        (with("name", json!("")), "name"),
        (with("name", json!("x".repeat(101))), "name"),
        (with("name", json!("a\u{7}b")), "name"),
        (with("name", json!("a\nb")), "name"),
        (with("name", json!("../../etc/passwd")), "name"),
        (with("name", json!("$HOME")), "name"),
        (with("name", json!("36")), "name"),
        (with("name", json!("plan")), "name"),
        (with("language", json!("cobol")), "language"),
        (with("language", json!("../node")), "language"),
        (with("language", json!("")), "language"),
        (with("framework", json!("rails")), "framework"),
        (with("framework", json!("a b")), "framework"),
        (with("description", json!("x".repeat(1001))), "description"),
        (with("baseImage", json!("evil.example/x:1")), "baseImage"),
        (with("limits", json!({ "cpu": 0 })), "limits.cpu"),
        (with("limits", json!({ "cpu": 4.5 })), "limits.cpu"),
        (with("limits", json!({ "cpu": -1 })), "limits.cpu"),
        (with("limits", json!({ "cpu": "half" })), "limits.cpu"),
        (with("limits", json!({ "memoryMb": 255 })), "limits.memoryMb"),
        (with("limits", json!({ "memoryMb": 8193 })), "limits.memoryMb"),
        (with("limits", json!({ "memoryMb": -1 })), "limits.memoryMb"),
        (with("limits", json!({ "diskMb": 1023 })), "limits.diskMb"),
        (with("env", json!({ "1BAD": "x" })), "env.1BAD"),
        (with("env", json!({ "CONVERGENCE_API_KEY": "x" })), "env.CONVERGENCE_API_KEY"),
        (with("env", json!({ "A": "x".repeat(4097) })), "env.A"),
        (with("env", json!({ "A": "nul\u{0}" })), "env.A"),
        (json!({ "language": "node" }), "name"),
        (json!({ "name": "x" }), "language"),
    ];
    for path in ["/api/v1/tenant/spawn", "/api/v1/tenant/plan"] {
        for (body, field) in &cases {
            let answer = server.http.post(path, body).await;
            assert_eq!(answer.violations(422), [*field], "{path} {body}");
            let problem = answer.json();
            assert!(problem["violations"][0]["message"].as_str().is_some_and(|m| m.len() > 10), "{problem}");
            assert_eq!(problem["error"], problem["detail"]);
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(answer.headers["x-request-id"], problem["requestId"].as_str().unwrap());
        }
    }
    let list = server.http.get("/api/v1/tenant").await.expect(200);
    assert_eq!(list["tenants"], json!([]), "nothing was made");
}

#[tokio::test]
async fn everything_wrong_with_a_request_is_told_at_once() {
    let server = without_engine().await;
    let body = json!({ "name": "a\n", "language": "node", "limits": { "cpu": -1 }, "env": { "1": "" } });
    assert_eq!(server.http.post("/api/v1/tenant/spawn", &body).await.violations(422), ["name", "limits.cpu", "env.1"]);
    let body = json!({ "name": "a", "language": "node", "limits": { "cpu": 99, "memoryMb": 1, "diskMb": 1 } });
    let mut paths = server.http.post("/api/v1/tenant/spawn", &body).await.violations(422);
    paths.sort();
    assert_eq!(paths, ["limits.cpu", "limits.diskMb", "limits.memoryMb"]);
}

#[tokio::test]
async fn bodies_that_are_not_json_are_told_apart() {
    let server = without_engine().await;
    let post = |body: String| server.http.post_raw("/api/v1/tenant/spawn", body);
    assert_eq!(post("{\"name\": ".to_owned()).await.expect(400)["code"], "malformed-json");
    assert_eq!(post(String::new()).await.expect(400)["code"], "malformed-json");
    let array = post("[]".to_owned()).await.expect(422);
    assert_eq!(array["detail"], "the body: it is an array; send an object");
    let large = json!({ "name": "x", "language": "node", "description": "x".repeat(1 << 20) }).to_string();
    assert_eq!(post(large).await.expect(413)["code"], "too-large");

    let form = server.http.request(Method::POST, "/api/v1/tenant/spawn").header("content-type", "text/plain");
    assert_eq!(server.http.send(form.body("{}")).await.expect(415)["code"], "not-json");
}

#[tokio::test]
async fn tenants_that_do_not_exist_are_all_the_same_404() {
    let server = without_engine().await;
    let mut answers = Vec::new();
    for path in
        ["/api/v1/tenant/7/status", "/api/v1/tenant/7/logs", "/api/v1/tenant/7/compose", "/api/v1/tenant/7/dockerfile"]
    {
        let mut problem = server.http.get(path).await.expect(404);
        problem["requestId"] = Value::Null;
        answers.push(problem);
    }
    let mut problem = server.http.delete("/api/v1/tenant/7").await.expect(404);
    problem["requestId"] = Value::Null;
    assert!(answers.iter().all(|answer| *answer == problem), "{answers:?}");
    assert_eq!(server.http.get("/api/v1/tenant/x/status").await.expect(404)["code"], "not-found");
    assert_eq!(server.http.get("/api/v1/tenant/+7/status").await.expect(400)["code"], "not-a-tenant");
    assert_eq!(server.http.get("/api/v1/tenant?org_id=2").await.status, 404);
    assert_eq!(server.http.get("/api/v1/tenant?org_id=x").await.violations(422), ["org_id"]);
    assert_eq!(server.http.get("/api/v1/tenant?cursor=x").await.violations(422), ["cursor"]);
    assert_eq!(server.http.get("/api/v1/tenant?page=2").await.violations(422), ["page"]);
    assert_eq!(server.http.get("/api/v1/operations/x").await.status, 404);
    assert_eq!(server.http.get("/nothing").await.expect(404)["code"], "no-such-path");
    assert_eq!(server.http.delete("/health").await.expect(405)["code"], "wrong-method");
}

#[tokio::test]
async fn development_mode_answers_this_machine_only() {
    let server = without_engine().await;
    let ask = |name: &'static str, value: &'static str| {
        let request = server.http.request(Method::GET, "/api/v1/tenant").header(name, value);
        server.http.send(request)
    };
    assert_eq!(ask("host", "evil.example").await.expect(403)["code"], "not-local");
    assert_eq!(ask("origin", "https://evil.example").await.expect(403)["code"], "not-local");
    assert_eq!(ask("x-request-id", "mine-1").await.headers["x-request-id"], "mine-1");
    assert_ne!(ask("x-request-id", "two words").await.headers["x-request-id"], "two words");
}
