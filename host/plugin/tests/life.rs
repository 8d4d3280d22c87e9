//! What happens to plugins while servers run: faults, revocations, and another server on the same database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use convergence_model::ids::Clock;
use convergence_model::plan::PlanRequest;
use convergence_model::plugin::Source;
use convergence_plugin::trust::{self, TrustPolicy, TrustSettings};
use convergence_plugin::{BreakerState, Catalogue, Decision, PluginFailure, PluginState, Settings, Shelf};
use convergence_sandbox::{Pooling, Sandbox, SandboxConfig};
use convergence_store::Store;
use convergence_test_database::{Fresh, is_postgres};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", path.display()))
}

#[derive(Debug)]
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// A server's plugins: a folder of its own, and a database that may be another's as well.
async fn server(name: &str, folder: &Path, shelf: Shelf, configuration: Value, trust: TrustSettings) -> Arc<Catalogue> {
    let plugins = folder.join(name);
    fs::create_dir_all(&plugins).unwrap();
    let config = SandboxConfig { pooling: Pooling::Never, max_long_calls: 1, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config).unwrap();
    let configuration: BTreeMap<String, Value> = serde_json::from_value(configuration).unwrap();
    let trust = Arc::new(TrustPolicy::new(trust).unwrap());
    let settings = Settings { configuration, trust, ..Settings::of(plugins, name) };
    Arc::new(Catalogue::open(shelf, sandbox, Arc::new(Stopped), settings).await.unwrap())
}

fn request() -> PlanRequest {
    PlanRequest {
        at: jiff::Timestamp::UNIX_EPOCH,
        tenant_name: "my-app".to_owned(),
        framework: None,
        source: None,
        base_image: None,
        architecture: "amd64".to_owned(),
        memory_mb: 512,
        env_names: Vec::new(),
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: String::new(),
        extra: Vec::new(),
    }
}

/// Waits for a condition.
async fn eventually(what: &str, look: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !look().await {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_plugin_that_breaks_again_and_again_is_not_asked_and_others_are() {
    let folder = TempDir::new().unwrap();
    let configuration = json!({ "hostile": { "do": "panic" } });
    let plugins = server("one", folder.path(), Shelf::Memory, configuration, TrustSettings::default()).await;
    for name in ["fixtures/hostile", "templates/node"] {
        plugins.install(component(name), None, Source::Upload, "admin").await.unwrap();
    }
    for _ in 0..3 {
        let failure = plugins.snapshot().plan("hostile", request()).await.unwrap_err();
        assert!(failure.to_string().contains("told to panic"), "{failure}");
    }
    let failure = plugins.snapshot().plan("hostile", request()).await.unwrap_err();
    assert!(matches!(&failure, PluginFailure::Suspended { id, .. } if id == "hostile"), "{failure}");
    assert!(failure.retry_after().is_some());
    let info = plugins.plugin("hostile").await.unwrap();
    assert!(matches!(info.breaker, Some(BreakerState::Open(_))), "{:?}", info.breaker);
    let stats = info.stats.unwrap();
    assert_eq!((stats.calls, stats.traps, stats.suspended), (3, 3, 1));
    assert!(plugins.snapshot().plan("node", request()).await.is_ok());

    // Told something else, and asked again after the pause, it does well, and the breaker closes.
    let behave = Decision::Configure(Some(json!({ "do": "behave" })));
    plugins.decide("hostile", &behave, "admin").await.unwrap();
    eventually("it is asked again", async || plugins.snapshot().plan("hostile", request()).await.is_ok()).await;
    assert_eq!(plugins.plugin("hostile").await.unwrap().breaker, Some(BreakerState::Closed));
}

#[tokio::test]
async fn calls_that_still_wait_when_a_plugin_is_given_up_are_refused() {
    let folder = TempDir::new().unwrap();
    let configuration = json!({ "hostile": { "do": "loop" } });
    let plugins = server("one", folder.path(), Shelf::Memory, configuration, TrustSettings::default()).await;
    plugins.install(component("fixtures/hostile"), None, Source::Upload, "admin").await.unwrap();
    let callers = (0..8).map(|_| {
        let snapshot = plugins.snapshot();
        async move { snapshot.plan("hostile", request()).await.unwrap_err() }
    });
    let failures = callers.collect::<tokio::task::JoinSet<_>>().join_all().await;
    let refused = failures.iter().filter(|failure| matches!(failure, PluginFailure::Suspended { .. })).count();
    // There is one place for long calls. Three break in it, and a fourth may have got it already.
    assert!(refused >= 4, "{failures:#?}");
    let stats = plugins.plugin("hostile").await.unwrap().stats.unwrap();
    assert_eq!(stats.calls + stats.suspended, 8, "{stats:?}");
}

#[tokio::test]
async fn what_is_revoked_goes_out_of_use_and_comes_back() {
    let folder = TempDir::new().unwrap();
    let list = folder.path().join("revoked.toml");
    fs::write(&list, "").unwrap();
    let trust = TrustSettings { revocations: Some(list.clone()), ..TrustSettings::default() };
    let database = Fresh::new().await;
    let plugins = server("one", folder.path(), Shelf::Database(open(&database).await), json!({}), trust).await;
    let node = component("templates/node");
    plugins.install(node.clone(), None, Source::Upload, "admin").await.unwrap();
    let stop = CancellationToken::new();
    let watching = tokio::task::JoinSet::from_iter([{
        let (plugins, stop) = (Arc::clone(&plugins), stop.clone());
        async move { plugins.watch(stop).await }
    }]);
    let serves = async || plugins.snapshot().template_for("node").is_some();
    assert!(serves().await);

    fs::write(&list, format!("[digests]\n\"{}\" = \"it phones home\"\n", trust::digest(&node))).unwrap();
    eventually("it is out of use", async || !serves().await).await;
    let state = plugins.plugin("node").await.unwrap().state;
    assert!(matches!(&state, PluginState::Faulty(reason) if reason.contains("it phones home")), "{state:?}");
    let again = plugins.install(node.clone(), None, Source::Upload, "admin").await.unwrap_err();
    assert!(again.to_string().contains("it phones home"), "{again}");

    fs::write(&list, "# nothing\n").unwrap();
    eventually("it is back", async || serves().await).await;
    stop.cancel();
    watching.join_all().await;
}

async fn open(database: &Fresh) -> Store {
    Store::open(database.location()).await.unwrap()
}

#[tokio::test]
async fn servers_that_share_a_database_share_their_plugins() {
    let folder = TempDir::new().unwrap();
    let database = Fresh::new().await;
    // An SQLite file has one process, whose connections are shared; servers on PostgreSQL have their own.
    let one_file = open(&database).await;
    let shelf = async || Shelf::Database(if is_postgres() { open(&database).await } else { one_file.clone() });
    let start = async |name| server(name, folder.path(), shelf().await, json!({}), TrustSettings::default()).await;
    let (one, other) = (start("one").await, start("other").await);
    let stop = CancellationToken::new();
    let watching = tokio::task::JoinSet::from_iter([&one, &other].map(|server| {
        let (server, stop) = (Arc::clone(server), stop.clone());
        async move { server.watch(stop).await }
    }));

    // Dropped into the folder of one, used by both; a decision made at the other holds for both.
    fs::write(folder.path().join("one/node.wasm"), component("templates/node")).unwrap();
    let serve = async |server: &Arc<Catalogue>| server.snapshot().template_for("node").is_some();
    eventually("both serve it", async || serve(&one).await && serve(&other).await).await;
    other.decide("node", &Decision::Enable(false), "admin").await.unwrap();
    eventually("neither serves it", async || !serve(&one).await && !serve(&other).await).await;
    one.decide("node", &Decision::Enable(true), "admin").await.unwrap();
    eventually("both serve it again", async || serve(&one).await && serve(&other).await).await;

    // The other server has no such file, and does not take it for taken out.
    let third = start("third").await;
    assert!(serve(&third).await);
    fs::remove_file(folder.path().join("one/node.wasm")).unwrap();
    eventually("both have let go of it", async || !serve(&one).await && !serve(&other).await).await;
    assert_eq!(other.plugin("node").await.unwrap().state, PluginState::Removed);
    stop.cancel();
    watching.join_all().await;
}

/// A component that says it is another version, as long as its own, `0.1.0`.
fn numbered(mut bytes: Vec<u8>, version: &str) -> Vec<u8> {
    let own = b"0.1.0";
    assert_eq!(version.len(), own.len());
    // Names of interfaces end in `@0.1.0`; the version of the component stands alone.
    let places: Vec<usize> =
        (1..bytes.len() - own.len()).filter(|at| bytes[*at..].starts_with(own) && bytes[at - 1] != b'@').collect();
    assert_eq!(places.len(), 1, "its version occurs once");
    bytes[places[0]..places[0] + own.len()].copy_from_slice(version.as_bytes());
    bytes
}

#[tokio::test]
async fn a_policy_is_never_silently_off() {
    let folder = TempDir::new().unwrap();
    let database = Fresh::new().await;
    let shelf = Shelf::Database(open(&database).await);
    let plugins = server("one", folder.path(), shelf, json!({}), TrustSettings::default()).await;
    let stop = CancellationToken::new();
    let watching = tokio::task::JoinSet::from_iter([{
        let (plugins, stop) = (Arc::clone(&plugins), stop.clone());
        async move { plugins.watch(stop).await }
    }]);
    let (own, stray) = (folder.path().join("one/limits.wasm"), folder.path().join("one/stray.wasm"));
    let in_use = async |version: &str| {
        let info = plugins.plugin("limits").await;
        info.is_some_and(|info| info.version.is_some_and(|in_use| in_use.to_string() == version))
    };
    fs::write(&own, component("policies/limits")).unwrap();
    eventually("the policy is in use", async || in_use("0.1.0").await).await;
    fs::write(&stray, numbered(component("policies/limits"), "9.9.9")).unwrap();
    eventually("a stray version takes its place", async || in_use("9.9.9").await).await;
    fs::remove_file(&stray).unwrap();
    eventually("the policy is in use again", async || in_use("0.1.0").await).await;

    // What was removed cannot be brought back by number, and the version in use cannot become another.
    let gone = Decision::Rollback(Some("9.9.9".parse().unwrap()));
    plugins.decide("limits", &gone, "admin").await.unwrap_err();
    let other = numbered(component("policies/limits"), "0.1.0").into_iter().chain([0, 1, 0]).collect();
    let refused = plugins.install(other, None, Source::Upload, "admin").await.unwrap_err().to_string();
    assert!(refused.contains("is installed already, with other contents"), "{refused}");

    // Without any version it refuses what it would have judged, and says why, until somebody decides otherwise.
    fs::remove_file(&own).unwrap();
    let refuses = || plugins.snapshot().rejected_policy().is_some();
    eventually("nothing is approved", async || refuses()).await;
    let state = plugins.plugin("limits").await.unwrap().state;
    assert!(matches!(&state, PluginState::Faulty(reason) if reason.contains("was removed")), "{state:?}");
    plugins.decide("limits", &Decision::Enable(false), "admin").await.unwrap();
    assert!(!refuses(), "an administrator disabled it");
    assert!(plugins.decisions()[0].contains("`limits` is disabled"), "{:?}", plugins.decisions());
    fs::write(&own, component("policies/limits")).unwrap();
    eventually("it is found again", async || in_use("0.1.0").await).await;
    plugins.decide("limits", &Decision::Enable(true), "admin").await.unwrap();
    assert_eq!(plugins.decisions(), Vec::<String>::new());
    stop.cancel();
    watching.join_all().await;
}
