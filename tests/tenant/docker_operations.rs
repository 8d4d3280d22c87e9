//! Operations as their caller sees them: listed, followed, cancelled, retried, refused.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Fault, Options, Proxy, Server, eventually};

/// A build that never comes to an end until somebody interferes.
const ENDLESS: Fault = Fault::Hang;

/// With the template for Node.
fn node() -> Options {
    Options { plugins: vec!["templates/node.wasm"], ..Options::default() }
}

/// An app of Node that starts and never listens.
fn deaf(name: &str) -> Value {
    json!({
        "name": name, "language": "node",
        "env": { "NODE_OPTIONS": "--import data:text/javascript,await%20new%20Promise(()=>setInterval(()=>{},9999))" },
    })
}

async fn begun(server: &Server, url: &str, step: &str) {
    eventually(&format!("{url} begins {step}"), Duration::from_secs(60), || async {
        let text = reached(server, url, 0).await;
        let found = text.iter().any(|(_, event)| event["step"] == step && event["event"] == "started");
        if found { Ok(()) } else { Err(format!("{text:?}")) }
    })
    .await;
}

/// The steps a stream sends right away after event `after`, with their numbers; an outcome has none.
async fn reached(server: &Server, url: &str, after: u64) -> Vec<(Option<u64>, Value)> {
    let request = server.http.request(Method::GET, &format!("{url}/events")).header("last-event-id", after);
    let mut stream = request.send().await.expect("the server answers").bytes_stream();
    let mut text = String::new();
    while let Ok(Some(Ok(bytes))) = tokio::time::timeout(Duration::from_millis(300), stream.next()).await {
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    let field = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    let read = |block: &str| {
        let data = serde_json::from_str(&field(block, "data: ")?).ok()?;
        Some((field(block, "id: ").and_then(|id| id.parse().ok()), data))
    };
    text.split_inclusive("\n\n").filter(|block| block.ends_with("\n\n")).filter_map(read).collect()
}

#[tokio::test]
async fn a_spawn_is_cancelled_while_its_image_is_built() {
    let proxy = Proxy::of_engine();
    let server = Server::with(Options::behind(&proxy)).await;
    proxy.fault("POST", "/build", ENDLESS, 1);
    let (tenant, url) = server.accepted("regretted", "static").await;
    eventually("the build has begun", Duration::from_secs(60), || async {
        if proxy.unmet() == 0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let shown = server.http.post(&format!("{url}/cancel"), &json!({})).await.expect(202);
    assert_eq!(shown["operation"]["cancelling"], true, "{shown}");
    let operation = server.operation(&url, &["cancelled", "failed", "succeeded"]).await;
    assert_eq!((&operation["state"], &operation["failure"]["code"]), (&"cancelled".into(), &"cancelled".into()));
    let gone = server.http.get(&format!("/api/v1/tenant/{}/status", tenant["envId"])).await;
    assert_eq!(gone.status, 404, "it was undone");

    let over = server.http.post(&format!("{url}/cancel"), &json!({})).await.expect(409);
    assert_eq!(over["code"], "operation-over");
    let over = server.http.post(&format!("{url}/retry"), &json!({})).await.expect(409);
    assert_eq!(over["code"], "not-retryable");
    // Its name is free.
    let tenant = server.spawn_plain("regretted", "static").await;
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_spawn_is_cancelled_while_its_app_is_waited_for_and_the_caller_is_told() {
    let server = Server::with(node()).await;
    let body = deaf("deaf");
    let cancel = async {
        let url = eventually("the spawn is accepted", Duration::from_secs(60), || async {
            let list = server.http.get("/api/v1/operations").await.json();
            let id = list["operations"][0]["id"].as_str().map(str::to_owned);
            id.map(|id| format!("/api/v1/operations/{id}")).ok_or_else(|| list.to_string())
        })
        .await;
        begun(&server, &url, "probe").await;
        server.http.post(&format!("{url}/cancel"), &json!({})).await.expect(202);
        url
    };
    let (answer, url) = join(server.http.post("/api/v1/tenant/spawn", &body), cancel).await;
    let problem = answer.expect(409);
    assert_eq!((&problem["code"], &problem["operation"]), (&"cancelled".into(), &url.as_str().into()), "{problem}");
    assert_eq!(server.operation(&url, &["cancelled"]).await["direction"], "back");
    assert_eq!(server.http.get("/api/v1/tenant").await.expect(200)["tenants"], json!([]));
}

#[tokio::test]
async fn a_destroy_that_is_stuck_is_seen_cannot_be_taken_back_and_is_tried_again() {
    let proxy = Proxy::of_engine();
    let options = Options { tables: "\n[operations]\npatience-seconds = 2\n".to_owned(), ..Options::behind(&proxy) };
    let server = Server::with(options).await;
    let tenant = server.spawn_plain("sticky", "static").await;
    proxy.fault("DELETE", "/containers/", Fault::LoseRequest, usize::MAX / 2);
    let destroy = server.http.delete(&format!("/api/v1/tenant/{}?wait=0", tenant["envId"])).await.expect(202);
    let url = destroy["operation"]["url"].as_str().unwrap().to_owned();
    let refused = server.http.post(&format!("{url}/cancel"), &json!({})).await.expect(409);
    assert_eq!(refused["code"], "not-cancellable");

    let stuck = server.operation(&url, &["stuck", "succeeded", "failed"]).await;
    assert_eq!((&stuck["state"], &stuck["failure"]["step"]), (&"stuck".into(), &"container".into()), "{stuck}");
    assert_eq!(stuck["failure"]["code"], "engine-unreachable", "{stuck}");
    let listed = server.http.get("/api/v1/operations?state=stuck").await.expect(200);
    assert_eq!(listed["operations"].as_array().unwrap().len(), 1);
    let ready = server.http.get("/ready").await;
    let queue = ready.json()["checks"].as_array().unwrap().iter().find(|c| c["name"] == "queue").unwrap().clone();
    assert!(queue["detail"].as_str().unwrap().contains("1 stuck"), "{queue}");

    proxy.heal();
    server.http.post(&format!("{url}/retry"), &json!({})).await.expect(202);
    server.operation(&url, &["succeeded"]).await;
    let again = server.http.post(&format!("{url}/retry"), &json!({})).await.expect(409);
    assert_eq!(again["code"], "not-retryable");
    assert_eq!(server.http.get(&format!("/api/v1/tenant/{}/status", tenant["envId"])).await.status, 404);
}

#[tokio::test]
async fn operations_are_listed_in_pages_and_by_state_and_tenant() {
    let server = Server::with(node()).await;
    for name in ["one", "two", "three"] {
        let tenant = server.spawn_plain(name, "node").await;
        server.destroy(&tenant).await;
    }
    let body = json!({ "name": "four", "language": "node", "baseImage": "debian:bookworm-slim" });
    server.http.post("/api/v1/tenant/spawn", &body).await.expect(422);

    let (mut seen, mut path) = (Vec::new(), "/api/v1/operations?limit=2".to_owned());
    loop {
        let page = server.http.get(&path).await.expect(200);
        let operations = page["operations"].as_array().unwrap();
        assert!(operations.len() <= 2);
        let kinds = operations.iter().map(|o| (o["envId"].as_i64().unwrap(), o["kind"].as_str().unwrap().to_owned()));
        seen.extend(kinds);
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/v1/operations?limit=2&cursor={cursor}");
    }
    let newest_first: Vec<_> = [(4, "spawn"), (3, "destroy"), (3, "spawn"), (2, "destroy"), (2, "spawn")]
        .into_iter()
        .chain([(1, "destroy"), (1, "spawn")])
        .map(|(tenant, kind)| (tenant, kind.to_owned()))
        .collect();
    assert_eq!(seen, newest_first, "each once, the newest first");

    let failed = server.http.get("/api/v1/operations?state=failed").await.expect(200);
    assert_eq!(failed["operations"].as_array().map(Vec::len), Some(1));
    assert_eq!(failed["operations"][0]["failure"]["code"], "build-failed");
    let of_two = server.http.get("/api/v1/operations?env_id=2&state=succeeded").await.expect(200);
    assert_eq!(of_two["operations"].as_array().map(Vec::len), Some(2));
    for (wrong, path) in [("state", "state=lost"), ("cursor", "cursor=1"), ("limit", "limit=many"), ("sort", "sort=x")]
    {
        let violations = server.http.get(&format!("/api/v1/operations?{path}")).await.violations(422);
        assert_eq!(violations, [wrong]);
    }
    let unknown = server.http.get("/api/v1/operations/00000000-0000-7000-8000-000000000000").await;
    assert_eq!(unknown.expect(404)["code"], "not-found");
}

#[tokio::test]
async fn events_go_on_exactly_where_a_watcher_was_cut_off() {
    let proxy = Proxy::of_engine();
    let server = Server::with(Options::behind(&proxy)).await;
    proxy.fault("POST", "/containers/create", Fault::Delay(Duration::from_secs(3)), 1);
    let (tenant, url) = server.accepted("followed", "static").await;
    begun(&server, &url, "container").await;
    // Cut off in the middle, then gone on with from the last number that came.
    let before = reached(&server, &url, 0).await;
    let last = before.last().and_then(|(id, _)| *id).expect("a step has a number");
    assert!(last > 3, "in the middle: {before:?}");
    server.operation(&url, &["succeeded"]).await;
    let after = reached(&server, &url, last).await;
    let numbers = |events: &[(Option<u64>, Value)]| events.iter().filter_map(|(id, _)| *id).collect::<Vec<_>>();
    let all = reached(&server, &url, 0).await;
    let joined: Vec<u64> = numbers(&before).into_iter().chain(numbers(&after)).collect();
    assert_eq!(joined, numbers(&all));
    assert_eq!(joined, (1..=joined.len() as u64).collect::<Vec<_>>(), "without gaps, none twice");
    let (none, outcome) = after.last().expect("an outcome");
    assert_eq!((none, &outcome["state"]), (&None, &"succeeded".into()));
    let steps: Vec<_> = all.iter().filter(|(_, e)| e["event"] == "done").map(|(_, e)| e["step"].clone()).collect();
    assert_eq!(steps, ["image", "network", "volumes", "container", "start", "probe"]);
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_full_queue_refuses_with_a_time_to_come_back_and_ready_says_so() {
    let proxy = Proxy::of_engine();
    let server =
        Server::with(Options { tables: "\n[operations]\nqueue-max = 1\n".to_owned(), ..Options::behind(&proxy) }).await;
    assert_eq!(server.http.get("/ready").await.status, 200);
    proxy.fault("POST", "/build", ENDLESS, 1);
    let (_, url) = server.accepted("first", "static").await;
    let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": "second", "language": "static" })).await;
    assert_eq!(answer.expect(503)["code"], "queue-full");
    let seconds = answer.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{:?}", answer.headers);
    let ready = server.http.get("/ready").await.expect(503);
    let queue = ready["checks"].as_array().unwrap().iter().find(|c| c["name"] == "queue").unwrap().clone();
    assert_eq!(queue["ok"], false, "{queue}");

    server.http.post(&format!("{url}/cancel"), &json!({})).await.expect(202);
    server.operation(&url, &["cancelled"]).await;
    assert_eq!(server.http.get("/ready").await.status, 200);
    let tenant = server.spawn_plain("second", "static").await;
    server.destroy(&tenant).await;
}
