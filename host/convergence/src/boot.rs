//! The only place that joins the rooms.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use convergence_access::{KeyRing, Seals};
use convergence_http::{App, Front};
use convergence_model::ids::{Clock, Ids};
use convergence_plugin::trust::TrustPolicy;
use convergence_plugin::{Catalogue, Loading, Shelf};
use convergence_provision::{Keys, Machine, Provisioner, RingSource, Settings};
use convergence_render::images::Pattern;
use convergence_render::{ImagePolicy, Platform};
use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{Builder, Runtime};
use convergence_sandbox::{Compiler, Sandbox, SandboxConfig};
use convergence_source::Sources;
use convergence_store::Store;
use convergence_work::{Kind, Operations, Registry};
use tokio::net::TcpListener;

use crate::cli::compile_component;
use crate::config::Config;
use crate::installation::{self, Found, Installation, Lock, shown};
use crate::lifecycle::{self, Lifecycle};

/// How long a start waits for an engine that it can do without.
const ENGINE_PATIENCE: Duration = Duration::from_secs(2);

/// The machine's clock.
#[derive(Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is where time comes from
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Time-ordered UUIDs.
#[derive(Debug)]
pub(crate) struct SystemIds;

impl Ids for SystemIds {
    #[allow(clippy::disallowed_methods)] // this is where ids come from
    fn uuid(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}

/// The engine, not yet connected: whether it answers is for `/ready` and `doctor` to say.
pub(crate) fn engine(config: &Config) -> Docker {
    Docker::connect(DockerConfig {
        socket: config.docker.socket.clone(),
        call_limit: Duration::from_secs(config.docker.timeout_seconds),
        build_limit: config.build.limit(),
        builds_at_once: config.build.at_once,
        build_bounds: config.build.bounds(),
        ..DockerConfig::default()
    })
}

/// How long a build may wait for others: every operation that is carried out may be building, and all may take their time.
fn build_wait(config: &Config) -> Duration {
    let rounds = config.operations.concurrency.div_ceil(config.build.at_once.max(1)).saturating_sub(1);
    config.build.limit() * u32::try_from(rounds).unwrap_or(u32::MAX)
}

/// What builds images and what runs them.
pub(crate) struct Engine {
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) runtime: Arc<dyn Runtime>,
}

impl Engine {
    /// One that does both.
    pub(crate) fn of(both: impl Builder + Runtime + 'static) -> Self {
        let both = Arc::new(both);
        Self { builder: Arc::clone(&both) as _, runtime: both }
    }
}

/// What images may be used, and what they resolve to.
pub(crate) fn images(config: &Config) -> ImagePolicy {
    let own = config.build.allow_images.iter().map(|pattern| Pattern::parse(pattern));
    ImagePolicy { allow: std::iter::once(Pattern::Official).chain(own).collect(), map: config.images.clone() }
}

/// The installed plugins and those of the folder; a bad one among them is listed as rejected, never an error. Without keys
/// nothing of what is compiled is kept.
///
/// # Errors
/// No sandbox can be made on this machine, or the database does not answer.
pub(crate) async fn catalogue(
    config: &Config,
    keys: Option<&KeyRing>,
    shelf: Shelf,
    server: String,
    loading: Loading,
) -> Result<Catalogue> {
    let sandbox = Sandbox::new(SandboxConfig {
        cache_dir: keys.map(|_| config.data_dir.join("cache")),
        cache_key: keys.map_or([0; 32], |keys| keys.purpose("component-cache")),
        compiler: Compiler::Child(compile_component::compiler()),
        wasi: config.plugins.wasi.into(),
        ..SandboxConfig::default()
    })
    .context("cannot make a sandbox for plugins")?;
    let mut configuration = std::collections::BTreeMap::new();
    for (id, table) in &config.plugins.tables {
        let json = serde_json::to_value(table).with_context(|| format!("[plugins.{id}] cannot be read"))?;
        configuration.insert(id.clone(), json);
    }
    let trust = Arc::new(TrustPolicy::new(config.trust.clone())?);
    let settings = convergence_plugin::Settings {
        folder: config.plugins_dir(),
        server,
        configuration,
        trust,
        registries: config.registries(),
        loading,
    };
    Catalogue::open(shelf, sandbox, Arc::new(SystemClock), settings)
        .await
        .context("cannot read which plugins are installed")
}

/// All keys of the installation, held against the database.
async fn hold_keys(config: &Config, tenants: KeyRing, store: &Store) -> Result<Keys> {
    let ring: Arc<dyn RingSource> = installation::keyring::find(&config.data_dir, store).await?.into();
    let text = ring.read().map_err(|error| anyhow::anyhow!("cannot read the key ring: {error}"))?;
    let seals = Seals::parse(text.expose()).context("the key ring cannot be used")?;
    let keys = Keys { tenants, seals, ring };
    keys.hold_against(store, SystemClock.now()).await.context("the key ring cannot be used")?;
    Ok(keys)
}

/// A data folder and a database that belong together, and to nobody else.
struct Claim {
    installation: Installation,
    lock: Lock,
}

/// Looks at the data folder and the database, decides, and writes nothing before that.
async fn claim(config: &Config, location: &str) -> Result<Claim> {
    let data = &config.data_dir;
    let guarded = installation::guarded(data, location)?;
    let mut lock = Lock::of_earlier_start(&guarded)?;
    loop {
        let found = Found::read(data, location).await;
        let start = match installation::decide(&found) {
            Ok(start) => start,
            Err(refusal) => bail!("{}", refusal.explain(data, &shown(location))),
        };
        match lock {
            Some(lock) => return Ok(Claim { installation: Installation::open(data, start)?, lock }),
            // The first start here: what another server did until the lock is taken is looked at once more.
            None => {
                installation::make_folder(data)?;
                lock = Some(Lock::make(&guarded)?);
            }
        }
    }
}

/// Holds what a tenant gets that asks for nothing, and what builds may use, against the machine. An engine that does not answer
/// says nothing of it: `/ready` and `doctor` do, once it does.
async fn check_machine(config: &Config, runtime: &dyn Runtime) -> Result<()> {
    let engine = tokio::time::timeout(ENGINE_PATIENCE, runtime.engine()).await.ok().and_then(Result::ok);
    if let Some(engine) = &engine
        && let Some(reason) = Machine::from(engine).refuses_defaults(&config.tenants.default_limits.into())
    {
        bail!("{reason}");
    }
    let driver = engine.as_ref().map(|engine| engine.cgroup_driver.as_str());
    config.build.prove_bounds(config.docker.socket.as_deref(), driver)
}

/// Starts everything. The server answers whether it lives soon after this begins, and everything when it returns. `lost_lines` counts lines of the log that could not be written.
///
/// # Errors
/// What must not be missing is: the data folder, the database, the port.
pub(crate) async fn start(config: &Config, engine: Engine, lost_lines: Arc<AtomicU64>) -> Result<Lifecycle> {
    lifecycle::allow_open_files();
    let location = config.database();
    let Engine { builder, runtime } = engine;
    check_machine(config, runtime.as_ref()).await?;
    let Claim { installation, lock } = claim(config, &location).await?;
    let keys = KeyRing::new(&installation.master);
    let store = Arc::new(
        Store::open(&location).await.with_context(|| format!("cannot open the database {}", shown(&location)))?,
    );
    let check = installation::key_check(&installation.master);
    // Asked before; but of several servers that begin with one empty database, another one may have been faster.
    if let Some(other) =
        store.adopt_installation(&installation.id, &check).await.context("cannot read whose database this is")?
    {
        bail!(
            "the database {} was taken by installation {other} a moment ago, and the data folder {} belongs to {}. For several              servers of one installation, copy `master.key` and `installation` of the first one into the data folders of the              others before they start",
            shown(&location),
            config.data_dir.display(),
            installation.id
        );
    }
    let keys = hold_keys(config, keys, &store).await?;
    Installation::settled(&config.data_dir)?;
    // The lock above says that no other server has this one's name: the process that held leases under it is dead.
    let worker = installation.server.clone();
    let cut_off = store.end_leases(&worker).await.context("cannot take over what the last server was doing")?;
    if cut_off > 0 {
        tracing::info!(cut_off, "going on with operations that were cut off");
    }
    // Answers from here on; plugins may take a minute to compile.
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}; is another server running there?", config.listen))?;
    let mut lifecycle = Lifecycle::owning(lock);
    let stop = lifecycle.stop();
    let listen = listener.local_addr().unwrap_or(config.listen);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let loading = Loading::default();
    let front = Front::new(Arc::clone(&ids), {
        let loading = loading.clone();
        move || doing(&loading)
    });
    lifecycle.run("http", {
        let (front, stop) = (Arc::clone(&front), stop.clone());
        async move { front.serve(listener, stop).await.context("the listener broke") }
    });
    let shelf = Shelf::Database(Store::clone(&store));
    let catalogue = Arc::new(catalogue(config, Some(&keys.tenants), shelf, installation.server, loading).await?);
    let ca_bundle = config
        .build
        .ca_bundle
        .as_ref()
        .map(|path| {
            std::fs::read(path).with_context(|| format!("cannot read `ca-bundle` {} of [build]", path.display()))
        })
        .transpose()?;
    let git = config.sources.git()?;
    let folder = config.sources_dir();
    let sources = Sources::open(folder.clone(), config.sources.limits())
        .with_context(|| format!("cannot use the folder of sources {}", folder.display()))?;
    let sources = Arc::new(sources);
    if store.engine_name() == "postgres" && config.sources.folder.is_none() {
        let folder = folder.display();
        tracing::warn!(%folder, "sources are kept in the server's own folder; several servers need one they share: `folder` in [sources]");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let operations = Arc::new(Operations::new(
        Arc::clone(&store),
        Arc::clone(&clock),
        Arc::clone(&ids),
        config.operations.settings(worker),
        kinds(),
    ));
    let provisioner = Arc::new(Provisioner::new(
        Arc::clone(&store),
        Arc::clone(&operations),
        Arc::clone(&catalogue),
        Arc::clone(&sources),
        builder,
        Arc::clone(&runtime),
        keys,
        clock,
        Arc::clone(&ids),
        Settings {
            instance: installation.id,
            name_prefix: config.docker.name_prefix.clone(),
            ports: config.tenants.ports.clone(),
            subnets: config.tenants.subnets,
            platform: Platform {
                api_url: config.api_url(),
                publish_address: config.tenants.publish_address,
                host_aliases: vec!["host.docker.internal".to_owned()],
            },
            images: images(config),
            ca_bundle,
            own_dockerfile: config.build.own_dockerfile,
            default_limits: config.tenants.default_limits.into(),
            tenants_max: config.tenants.max_per_organization,
            ready_patience: Duration::from_secs(config.tenants.ready_seconds),
            pull_limit: DockerConfig::default().pull_limit,
            build_limit: config.build.limit(),
            build_wait: build_wait(config),
            cache_max: config.build.cache_max_mb << 20,
            cache_keep: config.build.cache_keep(),
            images_keep: config.tenants.images_keep,
            git,
            sources_max: config.sources.keep_max_mb << 20,
            sources_keep: config.sources.keep(),
            reconcile: config.reconcile(),
        },
    ));

    let app = App {
        provisioner: Arc::clone(&provisioner),
        operations: Arc::clone(&operations),
        store: Arc::clone(&store),
        sources,
        catalogue: Arc::clone(&catalogue),
        runtime,
        ids,
        wait: Duration::from_secs(config.wait_seconds),
        draining: stop.clone(),
        lost_lines,
    };
    tracing::warn!("development mode: no keys exist, so everybody on this machine is the administrator");
    tracing::info!(
        %listen,
        database = store.engine_name(),
        plugins = %config.plugins_dir().display(),
        "serving"
    );
    front.open(app);
    lifecycle.run("plugins", {
        let (catalogue, stop) = (Arc::clone(&catalogue), stop.clone());
        async move {
            catalogue.watch(stop).await;
            Ok(())
        }
    });
    lifecycle.run("reconcile", {
        let (provisioner, stop) = (Arc::clone(&provisioner), stop.clone());
        async move {
            provisioner.reconcile(stop).await;
            Ok(())
        }
    });
    lifecycle.run("build-cache", {
        let (provisioner, stop) = (Arc::clone(&provisioner), stop.clone());
        async move {
            provisioner.keep_cache(stop).await;
            Ok(())
        }
    });
    let registry = registry(config, &provisioner);
    let tasks = lifecycle.operations();
    lifecycle.run("operations", async move {
        operations.work(registry, stop, tasks).await;
        Ok(())
    });
    Ok(lifecycle)
}

/// What a server that starts is doing.
fn doing(loading: &Loading) -> String {
    match loading.names().as_slice() {
        [] => "looking at the plugins".to_owned(),
        names => format!("compiling {} plugins: {}", names.len(), names.join(", ")),
    }
}

/// Every kind of operation that this program has.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    let kinds = convergence_provision::kinds();
    #[cfg(any(debug_assertions, feature = "rehearsal"))]
    let kinds = kinds.chain([&crate::rehearsal::KIND]);
    kinds
}

/// What carries them out.
fn registry(config: &Config, provisioner: &Arc<Provisioner>) -> Registry {
    let registry = provisioner.register(Registry::default());
    #[cfg(any(debug_assertions, feature = "rehearsal"))]
    let registry = registry.looping(crate::rehearsal::Rehearsal { notes: config.data_dir.join("rehearsal.notes") });
    #[cfg(not(any(debug_assertions, feature = "rehearsal")))]
    let _ = config;
    registry
}
