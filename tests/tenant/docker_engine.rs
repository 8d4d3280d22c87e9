//! The engine frozen, killed, stopped and started again, in the middle of a spawn and under tenants that run.

use std::time::Duration;

use futures_util::future::join;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Engine, Options, Server, eventually};

/// For an engine that starts its containers again, on a busy machine.
const BACK: Duration = Duration::from_secs(90);

async fn on(engine: &Engine) -> Server {
    let docker = format!("socket = {:?}\ntimeout-seconds = 5\n", engine.socket());
    Server::with(Options { docker, engine: Some(engine.socket()), ..Options::light() }).await
}

/// Waits until an operation has begun something in the engine.
async fn begun(server: &Server, url: &str) {
    eventually("the spawn has begun", BACK, || async {
        let operation = server.http.get(url).await.json();
        if operation["state"] == "running" { Ok(()) } else { Err(operation.to_string()) }
    })
    .await;
}

/// What is said while the engine is away: typed, and nothing new is begun.
async fn told(server: &Server, code: &str) {
    let body = json!({ "name": "refused", "language": "static" });
    let (answer, ready) = join(server.http.post("/api/v1/tenant/spawn", &body), server.http.get("/ready")).await;
    assert_eq!(answer.expect(503)["code"], code, "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    let ready = ready.expect(503);
    let check = |name: &str| ready["checks"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap().clone();
    assert_eq!((&check("engine")["ok"], &check("database")["ok"]), (&false.into(), &true.into()), "{ready}");
    // What is known needs no engine.
    assert_eq!(server.http.get("/api/v1/tenant").await.status, 200);
    assert_eq!(server.http.get("/health").await.status, 200);
}

/// Waits until everything is as it was asked for, without anybody's help; then removes it.
async fn recovered(server: &Server, engine: &Engine, steady: &Value, cut_off: &(Value, String)) {
    eventually("it is ready", BACK, || async {
        let ready = server.http.get("/ready").await;
        if ready.status == 200 { Ok(()) } else { Err(ready.text) }
    })
    .await;
    let (begun, url) = cut_off;
    let operation = server.operation(url, &["succeeded", "failed", "stuck", "cancelled"]).await;
    assert_eq!(operation["state"], "succeeded", "{operation}\n{}", server.log());
    for tenant in [steady, begun] {
        eventually("the tenant answers", BACK, || async {
            let port = tenant["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
            let http = crate::harness::Http::new(port);
            let answer = http.try_send(http.request(reqwest::Method::GET, "/health")).await?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }
    eventually("nothing is under way", BACK, || async {
        let list = server.http.get("/api/v1/operations").await.json();
        let over = list["operations"].as_array().unwrap().iter().all(|o| o["state"] == "succeeded");
        if over { Ok(()) } else { Err(list.to_string()) }
    })
    .await;
    let mut containers = engine.containers();
    containers.sort();
    assert_eq!(containers, [steady, begun].map(|tenant| format!("{} running", server.container(tenant))));
    for tenant in [steady, begun] {
        server.destroy(tenant).await;
    }
    assert_eq!(engine.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn exclusive_an_engine_that_is_frozen_for_a_while_is_told_of_and_everything_goes_on_when_it_is_thawed() {
    let engine = Engine::start().await;
    let server = on(&engine).await;
    let steady = server.spawn_plain("steady", "static").await;
    let cut_off = server.accepted("cut-off", "static").await;
    begun(&server, &cut_off.1).await;
    engine.signal(Signal::STOP);
    told(&server, "engine-timeout").await;
    assert_eq!(server.ask(&steady, "/health").await.status, 200, "tenants do not need the engine");
    engine.signal(Signal::CONT);
    recovered(&server, &engine, &steady, &cut_off).await;
}

#[tokio::test]
async fn exclusive_an_engine_that_is_killed_in_the_middle_of_a_spawn_is_waited_for() {
    let mut engine = Engine::start().await;
    let server = on(&engine).await;
    let steady = server.spawn_plain("steady", "static").await;
    let cut_off = server.accepted("cut-off", "static").await;
    begun(&server, &cut_off.1).await;
    engine.kill();
    told(&server, "engine-unreachable").await;
    engine.launch().await;
    recovered(&server, &engine, &steady, &cut_off).await;
}

#[tokio::test]
async fn exclusive_an_engine_that_is_stopped_in_the_middle_of_a_spawn_is_waited_for_also_by_the_next_server() {
    let mut engine = Engine::start().await;
    let mut server = on(&engine).await;
    let steady = server.spawn_plain("steady", "static").await;
    let cut_off = server.accepted("cut-off", "static").await;
    begun(&server, &cut_off.1).await;
    engine.stop();
    told(&server, "engine-unreachable").await;
    // Nobody is left who remembers.
    server.kill();
    server.launch().await;
    told(&server, "engine-unreachable").await;
    engine.launch().await;
    recovered(&server, &engine, &steady, &cut_off).await;
}
