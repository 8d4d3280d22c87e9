//! Replies of the engine that are lost, requests that never reach it, and calls that hang: whatever is asked again is there
//! once, and nothing is left behind.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Fault, Options, Proxy, Server};

/// Calls of a spawn that change something, each once.
const OF_A_SPAWN: [(&str, &str); 4] =
    [("POST", "/build"), ("POST", "/networks/create"), ("POST", "/containers/create"), ("POST", "/start")];
/// And those of a destroy.
const OF_A_DESTROY: [(&str, &str); 4] =
    [("POST", "/stop"), ("DELETE", "/containers/"), ("DELETE", "/networks/"), ("DELETE", "/images/")];

/// How many things with this installation's label there are: containers, networks.
fn labelled(server: &Server) -> (usize, usize) {
    let filter = format!("label=convergence.instance={}", server.installation().expect("it has started"));
    let count = |arguments: &[&str]| {
        let output = std::process::Command::new("docker").args(arguments).args(["--filter", &filter]).output();
        String::from_utf8_lossy(&output.expect("docker can be run").stdout).lines().count()
    };
    (count(&["ps", "--all", "--quiet"]), count(&["network", "ls", "--quiet"]))
}

async fn spawned_and_destroyed(server: &Server, name: &str, proxy: &Proxy) -> Value {
    let tenant = server.spawn_plain(name, "static").await;
    assert_eq!(labelled(server), (1, 1), "{name}: one container in one network");
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.destroy(&tenant).await;
    assert_eq!(labelled(server), (0, 0), "{name}: nothing is left behind");
    assert_eq!(proxy.unmet(), 0, "{name}: the fault was met");
    tenant
}

/// Once is asked again within the call, twice sends the operation back into the queue.
async fn meet(fault: Fault, most: usize) {
    let proxy = Proxy::of_engine();
    let server = Server::with(Options::behind(&proxy)).await;
    for (method, path) in OF_A_SPAWN.into_iter().chain(OF_A_DESTROY) {
        let before = proxy.count(method, path);
        // What was made all the same is found before it is asked for once more.
        let times = if (fault, path) == (Fault::LoseReply, "/build") { 1 } else { most };
        proxy.fault(method, path, fault, times);
        let name = path.trim_matches('/').replace('/', "-");
        spawned_and_destroyed(&server, &name, &proxy).await;
        let asked_again = proxy.count(method, path) > before + times;
        assert!(asked_again || fault == Fault::LoseReply, "{method} {path} was asked again");
    }
    let failed = server.http.get("/api/v1/operations?state=failed").await.expect(200);
    assert_eq!(failed["operations"], json!([]));
}

#[tokio::test]
async fn a_reply_that_is_lost_once_leaves_one_of_everything_and_nothing_behind() {
    meet(Fault::LoseReply, 1).await;
}

#[tokio::test]
async fn replies_that_are_lost_again_and_again_leave_one_of_everything_and_nothing_behind() {
    meet(Fault::LoseReply, 2).await;
}

#[tokio::test]
async fn requests_that_never_reach_the_engine_are_sent_again() {
    meet(Fault::LoseRequest, 3).await;
}

#[tokio::test]
async fn a_call_that_hangs_ends_by_its_limit_and_is_made_again() {
    let proxy = Proxy::of_engine();
    let mut options = Options::behind(&proxy);
    options.docker.push_str("timeout-seconds = 1\n");
    let server = Server::with(options).await;
    // Of the build, whose own limit is longer, what it begins with: the look at its base image.
    let calls = [
        ("GET", "slim-bookworm/json"),
        ("POST", "/networks/create"),
        ("POST", "/containers/create"),
        ("POST", "/start"),
    ];
    for (method, path) in calls.into_iter().chain([("DELETE", "/containers/"), ("DELETE", "/networks/")]) {
        proxy.fault(method, path, Fault::Hang, 1);
        let began = Instant::now();
        spawned_and_destroyed(&server, "slow", &proxy).await;
        println!("{method} {path} hung once: spawned and destroyed in {:.1} s", began.elapsed().as_secs_f32());
        assert!(began.elapsed() > Duration::from_secs(1), "its limit was waited for");
    }
    let waited = server.http.get("/api/v1/operations").await.expect(200);
    let first = waited["operations"].as_array().and_then(|all| all.last()).expect("there were some").clone();
    let events = server.events(&format!("/api/v1/operations/{}", first["id"].as_str().expect("an id"))).await;
    let waiting = events.iter().find(|event| event["event"] == "waiting").expect("it was put back");
    assert_eq!(waiting["step"], "image", "{waiting}");
    assert!(waiting["detail"].as_str().is_some_and(|text| text.contains("did not finish in 1 s")), "{waiting}");
}

#[tokio::test]
async fn an_engine_that_hangs_for_good_is_told_of_and_what_was_begun_is_undone_when_it_answers_again() {
    let proxy = Proxy::of_engine();
    let mut options = Options::behind(&proxy);
    options.docker.push_str("timeout-seconds = 1\n");
    let server = Server::with(options).await;
    proxy.fault("POST", "/containers/create", Fault::Hang, 4);
    let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": "slow", "language": "static" })).await;
    let problem = answer.expect(503);
    assert_eq!((&problem["code"], &problem["step"]), (&"engine-timeout".into(), &"container".into()), "{problem}");
    assert_eq!(proxy.unmet(), 0, "it was tried four times");
    assert_eq!(labelled(&server), (0, 0), "its network is gone again");

    // Before anything is begun, it is told of at once.
    proxy.fault("GET", "/_ping", Fault::Hang, usize::MAX / 2);
    proxy.fault("HEAD", "/_ping", Fault::Hang, usize::MAX / 2);
    let answer = server.http.post("/api/v1/tenant/spawn", &json!({ "name": "slow", "language": "static" })).await;
    assert_eq!(answer.expect(503)["code"], "engine-timeout");
    assert!(answer.headers.contains_key("retry-after"));
    proxy.fault("GET", "/version", Fault::Hang, usize::MAX / 2);
    let ready = server.http.get("/ready").await.expect(503);
    let engine = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "engine").unwrap().clone();
    assert_eq!(engine["ok"], false, "{engine}");
    proxy.heal();
    assert_eq!(server.http.get("/ready").await.status, 200);
    spawned_and_destroyed(&server, "slow", &proxy).await;
}

#[tokio::test]
async fn an_engine_that_is_slow_is_waited_for() {
    let proxy = Proxy::of_engine();
    let server = Server::with(Options::behind(&proxy)).await;
    for (method, path) in OF_A_SPAWN.into_iter().chain(OF_A_DESTROY) {
        proxy.fault(method, path, Fault::Delay(Duration::from_millis(700)), 1);
    }
    let tenant = spawned_and_destroyed(&server, "patient", &proxy).await;
    assert_eq!(tenant["port"], *server.block.tenant_ports().start(), "nothing was moved");
}
