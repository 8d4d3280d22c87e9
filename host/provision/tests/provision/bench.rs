//! A provisioner on a fake runtime, with a real store and a real template.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convergence_access::development::{HOME, Provenance, authenticate};
use convergence_access::{Caller, KeyRing};
use convergence_model::ids::{Clock, Ids};
use convergence_model::operation::Operation;
use convergence_model::tenant::{Binding, Tenant};
use convergence_model::workload::label;
use convergence_model::{EnvId, Limits, Scope, ServiceSpec, Source, TenantName, TenantSpec};
use convergence_plugin::{Catalogue, Shelf};
use convergence_provision::{AcceptError, Accepted, Keys, MemoryRing, Provisioner, ReconcileSettings, Settings};
use convergence_render::{ImagePolicy, Platform};
use convergence_runtime::fake::FakeRuntime;
use convergence_runtime::{Builder, Runtime};
use convergence_sandbox::{Sandbox, SandboxConfig};
use convergence_source::{GitSettings, SourceLimits, Sources};
use convergence_store::{Store, SubnetPool, TenantQuery};
use convergence_test_database::Fresh;
use convergence_work::{Operations, Registry, WorkSettings};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::rehearsal::{self, Rehearsal};

pub(crate) const INSTANCE: &str = "test";
pub(crate) const PORTS: RangeInclusive<u16> = 3001..=3030;

/// Longer than anything here takes; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

#[derive(Debug, Default)]
struct Counter(std::sync::atomic::AtomicU64);

impl Ids for Counter {
    fn uuid(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) + 1)
    }
}

/// What several servers share: a database, an engine, plugins, keys.
pub(crate) struct Site {
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) store: Arc<Store>,
    pub(crate) caller: Caller,
    pub(crate) settings: Settings,
    pub(crate) work: WorkSettings,
    catalogue: Arc<Catalogue>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) ring: Arc<MemoryRing>,
    ids: Arc<Counter>,
    database: Fresh,
    folder: TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(Fresh::new().await).await
    }

    /// A site with this database.
    pub(crate) async fn on(database: Fresh) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Arc::new(Store::open(database.location()).await.unwrap());
        let catalogue = install(folder.path(), "templates/go", &store, serde_json::json!({})).await;
        let ring = Arc::new(MemoryRing::new().unwrap());
        keys(&ring).hold_against(&store, Fixed.now()).await.unwrap();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            runtime: Arc::new(FakeRuntime::new()),
            store,
            caller: authenticate(Provenance { peer, host: Some("localhost"), origin: None }).unwrap(),
            settings: settings(),
            work: work(),
            catalogue,
            sources: Arc::new(Sources::open(folder.path().join("sources"), SourceLimits::default()).unwrap()),
            ring,
            ids: Arc::default(),
            database,
            folder,
        }
    }

    /// A policy refuses names that begin with `no-` from now on.
    pub(crate) async fn refuse_names(&mut self) {
        let configuration = serde_json::json!({ "hostile-policy": { "do": "deny-no" } });
        self.catalogue = install(self.folder.path(), "fixtures/hostile-policy", &self.store, configuration).await;
    }

    /// Where the database is.
    pub(crate) fn location(&self) -> &str {
        self.database.location()
    }

    /// An application in Go that its organization uploaded.
    pub(crate) async fn application(&self) -> Source {
        self.source(&[("go.mod", "module app\n\ngo 1.24\n"), ("main.go", "package main\n\nfunc main() {}\n")]).await
    }

    /// These files, which the organization uploaded.
    pub(crate) async fn source(&self, files: &[(&str, &str)]) -> Source {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, *path, text.as_bytes()).unwrap();
        }
        let archive = bytes::Bytes::from(tar.into_inner().unwrap());
        let body = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(archive) });
        let received = self.sources.receive(body, None).await.unwrap();
        let now = jiff::Timestamp::UNIX_EPOCH;
        self.store.add_source(HOME, &received.digest, received.bytes, received.files, u64::MAX, now).await.unwrap();
        Source::Archive(received.digest)
    }

    /// A server of this site that does not work, on connections of its own where `store` is.
    pub(crate) fn front(&self, store: Arc<Store>) -> Front {
        self.server()(store)
    }

    /// Another server of this site.
    pub(crate) fn live(&self) -> Life {
        let (worker, server) = (self.work.worker.clone(), self.server());
        let location = self.database.location().to_owned();
        let (kill, killed) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let life = async move {
                let store = Arc::new(Store::open(&location).await.unwrap());
                store.end_leases(&worker).await.unwrap();
                server(store).work(CancellationToken::new(), TaskTracker::new()).await;
            };
            let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            threads.block_on(async {
                tokio::select! {
                    _ = killed => {}
                    () = life => {}
                }
            });
        });
        Life { kill: Some(kill), thread: Some(thread) }
    }

    /// What makes a server of this site out of a store, wherever that is opened.
    fn server(&self) -> impl FnOnce(Arc<Store>) -> Front + Send + 'static {
        let (catalogue, ids) = (Arc::clone(&self.catalogue), Arc::clone(&self.ids) as Arc<dyn Ids>);
        let (sources, ring) = (Arc::clone(&self.sources), Arc::clone(&self.ring));
        let (runtime, settings, work) = (Arc::clone(&self.runtime), self.settings.clone(), self.work.clone());
        let clock: Arc<dyn Clock> = Arc::new(Fixed);
        move |store| {
            let kinds = convergence_provision::kinds().chain([&rehearsal::KIND]);
            let (clock, ids) = (Arc::clone(&clock), Arc::clone(&ids));
            let operations = Operations::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ids), work, kinds);
            let operations = Arc::new(operations);
            let keys = keys(&ring);
            let builder = Arc::clone(&runtime) as Arc<dyn Builder>;
            let engine = Arc::clone(&runtime) as Arc<dyn Runtime>;
            let done = Arc::clone(&operations);
            let provisioner =
                Provisioner::new(store, done, catalogue, sources, builder, engine, keys, clock, ids, settings);
            Front { provisioner: Arc::new(provisioner), operations, runtime }
        }
    }
}

/// The keys of a server with this ring.
fn keys(ring: &Arc<MemoryRing>) -> Keys {
    ring.keys(KeyRing::new(&[7; 32])).unwrap()
}

/// The plugins of a site in this folder, one more installed.
async fn install(folder: &Path, name: &str, store: &Store, configuration: serde_json::Value) -> Arc<Catalogue> {
    let (plugins, component) = (folder.join("plugins"), components().join(name).with_extension("wasm"));
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::copy(&component, plugins.join(component.file_name().unwrap()))
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", component.display()));
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let configuration = serde_json::from_value(configuration).unwrap();
    let settings = convergence_plugin::Settings { configuration, ..convergence_plugin::Settings::of(plugins, "test") };
    let catalogue = Catalogue::open(Shelf::Database(Store::clone(store)), sandbox, Arc::new(Fixed), settings);
    Arc::new(Box::pin(catalogue).await.unwrap())
}

/// A server's two faces.
pub(crate) struct Front {
    pub(crate) provisioner: Arc<Provisioner>,
    pub(crate) operations: Arc<Operations>,
    runtime: Arc<FakeRuntime>,
}

impl Front {
    /// Carries out every kind there is, and the loop made for the tests.
    pub(crate) async fn work(&self, stop: CancellationToken, tasks: TaskTracker) {
        let registry = self.provisioner.register(Registry::default());
        let registry = registry.looping(Rehearsal { runtime: Arc::clone(&self.runtime) });
        Arc::clone(&self.operations).work(registry, stop, tasks).await;
    }
}

/// The labels of something of this site's.
pub(crate) fn labels(tenant: i64) -> BTreeMap<String, String> {
    BTreeMap::from([(label::INSTANCE.to_owned(), INSTANCE.to_owned()), (label::TENANT.to_owned(), tenant.to_string())])
}

/// A server process, as far as tests can have one without starting it: threads and connections of its own, all of which
/// end at once when it is killed.
pub(crate) struct Life {
    kill: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Life {
    /// Ends it in the middle of whatever it does; returns when nothing of it runs any more.
    pub(crate) async fn kill(mut self) {
        drop(self.kill.take());
        let thread = self.thread.take().unwrap();
        // Waiting for a thread blocks, which no task may do.
        tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
    }
}

/// A site with one server that works.
pub(crate) struct Bench {
    pub(crate) provisioner: Arc<Provisioner>,
    pub(crate) operations: Arc<Operations>,
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) store: Arc<Store>,
    pub(crate) site: Site,
    _stop: DropGuard,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::of(Site::new().await)
    }

    pub(crate) fn of(site: Site) -> Self {
        let front = site.front(Arc::clone(&site.store));
        let (provisioner, operations) = (Arc::clone(&front.provisioner), Arc::clone(&front.operations));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn({
            let (stop, tasks) = (stop.clone(), tasks.clone());
            async move { front.work(stop, tasks).await }
        });
        let (runtime, store) = (Arc::clone(&site.runtime), Arc::clone(&site.store));
        Self { provisioner, operations, runtime, store, site, _stop: stop.drop_guard() }
    }

    /// The site, whose server stops.
    pub(crate) fn into_site(self) -> Site {
        self.site
    }

    /// Asks for a tenant.
    pub(crate) async fn accept(&self, name: &str) -> Result<Accepted, AcceptError> {
        self.provisioner.spawn(&Scope::platform(), &self.site.caller, HOME, spec(name), None).await
    }

    /// Asks for a tenant and waits for the outcome.
    pub(crate) async fn spawn(&self, name: &str) -> Operation {
        let accepted = self.accept(name).await.unwrap();
        self.operations.outcome(accepted.operation.id, PATIENCE).await.unwrap()
    }

    /// Asks for a tenant's end and waits for it.
    pub(crate) async fn destroy(&self, env_id: EnvId) -> Operation {
        let operation = self.provisioner.destroy(&Scope::platform(), &self.site.caller, env_id, None).await.unwrap();
        self.operations.outcome(operation.id, PATIENCE).await.unwrap()
    }

    /// Every tenant in the store.
    pub(crate) async fn tenants(&self) -> Vec<(Tenant, Binding)> {
        let query = TenantQuery { org: None, after: None, limit: 1000 };
        self.store.tenants(&Scope::platform(), query).await.unwrap()
    }
}

/// A tenant that asks for nothing.
pub(crate) fn spec(name: &str) -> TenantSpec {
    TenantSpec {
        name: TenantName::parse(name).unwrap(),
        language: "go".to_owned(),
        source: Source::Starter,
        framework: None,
        description: None,
        base_image: None,
        limits: Limits::DEFAULT,
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        service: ServiceSpec::default(),
    }
}

fn settings() -> Settings {
    Settings {
        instance: INSTANCE.to_owned(),
        name_prefix: "t".to_owned(),
        ports: PORTS,
        subnets: SubnetPool { first: Ipv4Addr::new(10, 9, 0, 0), count: 64 },
        platform: Platform {
            api_url: "http://host.docker.internal:3000/api/v1".to_owned(),
            publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            host_aliases: Vec::new(),
        },
        images: ImagePolicy::default(),
        ca_bundle: None,
        own_dockerfile: true,
        default_limits: Limits::DEFAULT,
        tenants_max: None,
        ready_patience: Duration::from_millis(50),
        build_limit: Duration::from_secs(60),
        build_wait: Duration::ZERO,
        cache_max: 1 << 30,
        cache_keep: Duration::from_secs(3600),
        pull_limit: Duration::from_secs(60),
        images_keep: 3,
        git: GitSettings::default(),
        sources_max: 1 << 30,
        sources_keep: Duration::from_secs(3600),
        reconcile: ReconcileSettings::default(),
    }
}

fn work() -> WorkSettings {
    WorkSettings {
        worker: "worker".to_owned(),
        concurrency: 4,
        pause: Duration::from_millis(1),
        idle: Duration::from_millis(5),
        ..WorkSettings::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody else can tell a test binary where things are")]
fn components() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components");
    std::env::var_os("CONVERGENCE_COMPONENTS").map_or_else(default, PathBuf::from)
}
