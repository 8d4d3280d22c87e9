//! A provisioner on a fake runtime, with a real store and a real template.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use convergence_access::development::{HOME, Provenance, authenticate};
use convergence_access::{Caller, KeyRing};
use convergence_model::ids::{Clock, Ids};
use convergence_model::operation::Operation;
use convergence_model::tenant::{Binding, Tenant};
use convergence_model::{EnvId, Limits, Scope, TenantName, TenantSpec};
use convergence_plugin::oci::RegistrySettings;
use convergence_plugin::trust::{TrustPolicy, TrustSettings};
use convergence_plugin::{Catalogue, Shelf};
use convergence_provision::{Accepted, Provisioner, Settings, SpawnError};
use convergence_render::{ImagePolicy, Platform};
use convergence_runtime::Runtime;
use convergence_runtime::fake::FakeRuntime;
use convergence_sandbox::{Sandbox, SandboxConfig};
use convergence_store::{Store, SubnetPool, TenantQuery};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

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

/// Everything a test touches.
pub(crate) struct Bench {
    pub(crate) provisioner: Arc<Provisioner>,
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) store: Arc<Store>,
    caller: Caller,
    _stop: DropGuard,
    _folder: TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        let template = components().join("templates/go.wasm");
        std::fs::copy(&template, plugins.join("go.wasm"))
            .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", template.display()));
        let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
        let store = Arc::new(Store::open(folder.path().join("db").to_str().unwrap()).await.unwrap());
        let trust = Arc::new(TrustPolicy::new(TrustSettings::default()).unwrap());
        let settings_of_plugins = convergence_plugin::Settings {
            folder: plugins,
            server: "test".to_owned(),
            configuration: BTreeMap::new(),
            trust,
            registries: RegistrySettings::default(),
        };
        let shelf = Shelf::Database(Store::clone(&store));
        let catalogue = Catalogue::open(shelf, sandbox, Arc::new(Fixed), settings_of_plugins).await.unwrap();
        let runtime = Arc::new(FakeRuntime::new());
        let provisioner = Arc::new(Provisioner::new(
            Arc::clone(&store),
            Arc::new(catalogue),
            Arc::clone(&runtime) as Arc<dyn Runtime>,
            KeyRing::new(&[7; 32]),
            Arc::new(Fixed),
            Arc::new(Counter::default()),
            settings(),
        ));
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&provisioner).work(stop.clone(), tasks.clone()));
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let caller = authenticate(Provenance { peer, host: Some("localhost"), origin: None }).unwrap();
        Self { provisioner, runtime, store, caller, _stop: stop.drop_guard(), _folder: folder }
    }

    /// Asks for a tenant.
    pub(crate) async fn accept(&self, name: &str) -> Result<Accepted, SpawnError> {
        let spec = TenantSpec {
            name: TenantName::parse(name).unwrap(),
            language: "go".to_owned(),
            framework: None,
            description: None,
            base_image: None,
            limits: Limits::DEFAULT,
            env: BTreeMap::new(),
        };
        self.provisioner.spawn(&Scope::platform(), &self.caller, HOME, spec).await
    }

    /// Asks for a tenant and waits for the outcome.
    pub(crate) async fn spawn(&self, name: &str) -> Operation {
        let accepted = self.accept(name).await.unwrap();
        self.provisioner.outcome(accepted.operation.id, PATIENCE).await.unwrap()
    }

    /// Asks for a tenant's end and waits for it.
    pub(crate) async fn destroy(&self, env_id: EnvId) -> Operation {
        let operation = self.provisioner.destroy(&Scope::platform(), &self.caller, env_id).await.unwrap();
        self.provisioner.outcome(operation.id, PATIENCE).await.unwrap()
    }

    /// Every tenant in the store.
    pub(crate) async fn tenants(&self) -> Vec<(Tenant, Binding)> {
        let query = TenantQuery { org: None, after: None, limit: 1000 };
        self.store.tenants(&Scope::platform(), query).await.unwrap()
    }
}

fn settings() -> Settings {
    Settings {
        instance: INSTANCE.to_owned(),
        worker: "worker".to_owned(),
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
        default_limits: Limits::DEFAULT,
        tenants_max: None,
        ready_patience: Duration::from_millis(50),
        concurrency: 4,
    }
}

#[expect(clippy::disallowed_methods, reason = "nobody else can tell a test binary where things are")]
fn components() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components");
    std::env::var_os("CONVERGENCE_COMPONENTS").map_or_else(default, PathBuf::from)
}
