//! A running server takes in what is dropped into its plugins folder, and loses no call over it.
#![expect(clippy::print_stdout, reason = "how fast it was is worth seeing when it is asked for")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::without_engine;
use crate::harness::{Http, components, eventually, eventually_within};

/// The bytes of the Ruby template in another version, which must be as long as its own, `0.1.0`.
pub(crate) fn ruby(version: &str) -> Vec<u8> {
    let own = b"0.1.0";
    assert_eq!(version.len(), own.len());
    let mut bytes =
        std::fs::read(components().join("examples/rust/ruby.wasm")).expect("`cargo xtask guests` builds it");
    // Names of interfaces end in `@0.1.0`; the version of the component stands alone.
    let places: Vec<usize> =
        (1..bytes.len() - own.len()).filter(|at| bytes[*at..].starts_with(own) && bytes[at - 1] != b'@').collect();
    assert_eq!(places.len(), 1, "its version occurs once");
    bytes[places[0]..places[0] + own.len()].copy_from_slice(version.as_bytes());
    bytes
}

/// Puts a whole file in the place of another, as `mv` does.
fn replace(file: &Path, bytes: &[u8]) {
    let fresh = file.with_extension("part");
    std::fs::write(&fresh, bytes).expect("the test's folder is writable");
    std::fs::rename(&fresh, file).expect("the test's folder is writable");
}

fn plan(language: &str) -> Value {
    json!({ "name": "x", "language": language })
}

/// Plans again and again, as three clients, until it is dropped.
struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    clients: JoinSet<Vec<String>>,
}

impl Traffic {
    fn start(http: &Http, language: &'static str) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for _ in 0..3 {
            let (http, stop, done) = (http.clone(), Arc::clone(&stop), Arc::clone(&done));
            clients.spawn(async move {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = http.request(reqwest::Method::POST, "/api/v1/tenant/plan").json(&plan(language));
                    match http.try_send(request).await {
                        Ok(answer) if answer.status == 200 => _ = done.fetch_add(1, Ordering::Relaxed),
                        Ok(answer) => lost.push(answer.text),
                        Err(error) => lost.push(error),
                    }
                }
                lost
            });
        }
        Self { stop, done, clients }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the clients, and fails where a call was lost.
    async fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(lost) = self.clients.join_next().await {
            let lost = lost.expect("a client does not panic");
            assert!(lost.is_empty(), "{} calls were lost, the first: {}", lost.len(), lost[0]);
        }
        self.done()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_in_template_is_planned_at_once_and_gone_when_it_is_removed_exclusive() {
    let server = without_engine().await;
    server.http.post("/api/v1/tenant/plan", &plan("ruby")).await.expect(422);
    let traffic = Traffic::start(&server.http, "go");

    let began = Instant::now();
    std::fs::write(server.plugins().join("ruby.wasm"), ruby("0.1.0")).expect("the folder is writable");
    let often = Duration::from_millis(10);
    eventually_within(often, "a Ruby tenant can be planned", Duration::from_secs(20), || async {
        let answer = server.http.post("/api/v1/tenant/plan", &plan("ruby")).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.text) }
    })
    .await;
    // How long is shown and not asserted: compiling in a debug build beside busy clients says nothing of a release.
    println!("planned {:?} after it was dropped in", began.elapsed());
    assert!(traffic.end().await > 0, "there was traffic");

    std::fs::remove_file(server.plugins().join("ruby.wasm")).expect("it is there");
    eventually("what was removed is not in use", Duration::from_secs(20), || async {
        let plugin = server.http.get("/api/v1/plugins/ruby").await.json();
        if plugin["state"] == "removed" { Ok(()) } else { Err(plugin.to_string()) }
    })
    .await;
    server.http.post("/api/v1/tenant/plan", &plan("ruby")).await.expect(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn replacements_under_load_lose_no_call_exclusive() {
    replace_under_load(10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes in a debug build"]
async fn a_hundred_replacements_under_load_lose_no_call_exclusive() {
    replace_under_load(100).await;
}

async fn replace_under_load(times: u32) {
    let server = without_engine().await;
    let file = server.plugins().join("ruby.wasm");
    replace(&file, &ruby("0.1.0"));
    let is_active = async |version: &str| {
        eventually("the version comes into use", Duration::from_secs(20), || async {
            let plugin = server.http.get("/api/v1/plugins/ruby").await.json();
            if plugin["version"] == version { Ok(()) } else { Err(plugin.to_string()) }
        })
        .await;
    };
    is_active("0.1.0").await;
    let (of_it, of_another) = (Traffic::start(&server.http, "ruby"), Traffic::start(&server.http, "node"));
    for number in 20..20 + times {
        let version = format!("{}.{}.{}", number / 100, number / 10 % 10, number % 10);
        let before = of_it.done();
        replace(&file, &ruby(&version));
        is_active(&version).await;
        eventually("calls go on", Duration::from_secs(20), || async {
            if of_it.done() > before { Ok(()) } else { Err("no call".to_owned()) }
        })
        .await;
    }
    let (ruby, node) = (of_it.end().await, of_another.end().await);
    println!("{times} replacements: {ruby} calls of the plugin itself and {node} of another, none lost");
    let plugin = server.http.get("/api/v1/plugins/ruby").await.json();
    let kept = plugin["versions"].as_array().map_or(0, Vec::len);
    assert!((2..=8).contains(&kept), "old versions are kept for a rollback, and not for ever: {kept}");
}
