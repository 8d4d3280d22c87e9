//! The end of a server and the start of the next one, in the middle of a spawn.

use std::time::{Duration, Instant};

use futures_util::future::join;
use serde_json::json;

use crate::harness::{Fault, Options, Proxy, Server, eventually};

/// Also a debug build on a busy machine is at work again by then; `cargo xtask bench operations` measures a release build.
const RECOVERED: Duration = Duration::from_secs(6);
/// How long a server may take beyond its drain.
const LITTLE: Duration = Duration::from_secs(6);

/// Waits until a request met the next fault, and this many are left.
async fn met(proxy: &Proxy, unmet: usize) {
    eventually("the build has begun", Duration::from_secs(60), || async {
        if proxy.unmet() == unmet { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_stopped_in_the_middle_of_a_spawn_hands_it_over_to_the_next() {
    let proxy = Proxy::of_engine();
    let mut server = Server::with(Options::behind(&proxy).and("[operations]\ndrain-seconds = 2")).await;
    proxy.fault("POST", "/build", Fault::Hang, 1);
    let body = json!({ "name": "handed-over", "language": "static" });
    let terminate = async {
        met(&proxy, 0).await;
        server.terminate();
        Instant::now()
    };
    let (answer, asked) = join(server.http.post("/api/v1/tenant/spawn", &body), terminate).await;
    let accepted = answer.expect(202);
    let url = accepted["operation"]["url"].as_str().expect("what to watch").to_owned();
    assert!(accepted["tenant"]["apiKey"].as_str().is_some_and(|key| !key.is_empty()), "the key is shown only now");
    assert_eq!(server.ended(Duration::from_secs(30)), Some(0), "{}", server.log());
    let took = asked.elapsed();
    println!("a server with a drain of 2 s ended {:.1} s after SIGTERM", took.as_secs_f32());
    assert!(took < Duration::from_secs(2) + LITTLE, "{took:?}");

    server.launch().await;
    server.operation(&url, &["succeeded"]).await;
    let events = server.events(&url).await;
    assert!(events.iter().any(|event| event["event"] == "handed-over"), "{events:?}");
    let tenant = &accepted["tenant"];
    assert_eq!(server.ask(tenant, "/health").await.status, 200);
    server.destroy(tenant).await;
}

#[tokio::test]
async fn a_server_that_is_stopped_lets_a_spawn_finish_that_is_about_to() {
    let proxy = Proxy::of_engine();
    let mut server = Server::with(Options::behind(&proxy)).await;
    proxy.fault("POST", "/build", Fault::Delay(Duration::from_secs(2)), 1);
    let body = json!({ "name": "finished", "language": "static" });
    let terminate = async {
        met(&proxy, 0).await;
        server.terminate();
    };
    let (answer, ()) = join(server.http.post("/api/v1/tenant/spawn", &body), terminate).await;
    let tenant = answer.expect(201)["tenant"].clone();
    assert_eq!(server.ended(Duration::from_secs(30)), Some(0), "{}", server.log());
    server.launch().await;
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_second_signal_ends_a_server_at_once_and_its_exit_code_says_that_something_was_cut_off() {
    let proxy = Proxy::of_engine();
    let mut server = Server::with(Options::behind(&proxy)).await;
    proxy.fault("POST", "/build", Fault::Hang, 1);
    let (tenant, url) = server.accepted("cut-off", "static").await;
    met(&proxy, 0).await;
    server.terminate();
    eventually("it drains", Duration::from_secs(10), || async {
        let log = server.log();
        if log.contains("draining") { Ok(()) } else { Err(log) }
    })
    .await;
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(10)), Some(1), "{}", server.log());
    server.launch().await;
    server.operation(&url, &["succeeded"]).await;
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn a_server_that_was_killed_works_again_on_what_it_was_doing_as_soon_as_it_starts() {
    let proxy = Proxy::of_engine();
    let mut server = Server::with(Options::behind(&proxy)).await;
    // One after the other: the second start finds everything compiled, as a server that crashed does.
    proxy.fault("POST", "/build", Fault::Hang, 2);
    let (tenant, url) = server.accepted("picked-up", "static").await;
    met(&proxy, 1).await;
    for unmet in [0, 0] {
        server.kill();
        let builds = proxy.count("POST", "/build");
        let began = Instant::now();
        let worked_on = eventually("the build is asked for again", Duration::from_secs(60), || async {
            if proxy.count("POST", "/build") > builds { Ok(began.elapsed()) } else { Err("not yet".to_owned()) }
        });
        let (worked_on, ()) = join(worked_on, server.launch()).await;
        println!("from the start of the process to the operation being worked on: {:.2} s", worked_on.as_secs_f32());
        assert!(worked_on < RECOVERED, "{worked_on:?}: a lease that has to run out takes 15 s");
        assert_eq!(proxy.unmet(), unmet);
    }
    server.operation(&url, &["succeeded"]).await;
    server.destroy(&tenant).await;
}
