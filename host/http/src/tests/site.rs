//! A server without a socket: requests go straight to its routes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use convergence_access::KeyRing;
use convergence_model::Limits;
use convergence_model::ids::{Clock, Ids};
use convergence_plugin::{Catalogue, Shelf};
use convergence_provision::{MemoryRing, Provisioner, ReconcileSettings, Settings};
use convergence_render::{ImagePolicy, Platform};
use convergence_runtime::fake::FakeRuntime;
use convergence_runtime::{Builder, Runtime};
use convergence_sandbox::{Sandbox, SandboxConfig};
use convergence_source::{GitSettings, SourceLimits, Sources};
use convergence_store::{Store, SubnetPool};
use convergence_test_database::Fresh;
use convergence_work::{Operations, Registry, WorkSettings};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::App;
use crate::connection::Peer;
use crate::document::kept::Promises;

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

/// A server on an engine that does what it is told.
pub(crate) struct Site {
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) store: Arc<Store>,
    /// Ends the server's work when it is cancelled.
    pub(crate) stop: CancellationToken,
    app: App,
    routes: Router,
    _database: Fresh,
    _folder: TempDir,
    _stop: DropGuard,
}

/// What a site answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) document: Value,
}

impl Site {
    /// A site with the template for Go.
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A site with the template for Node.js.
    pub(crate) async fn with_node() -> Self {
        Self::on(&["templates/node.wasm"], |_, _| {}).await
    }

    /// The same site, where a request waits for so long.
    pub(crate) fn waiting(mut self, wait: Duration) -> Self {
        self.app.wait = wait;
        self.routes = crate::router(self.app.clone());
        self
    }

    /// The same with settings of its own.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings, &mut WorkSettings)) -> Self {
        Self::on(&["templates/go.wasm"], change).await
    }

    /// A site with no plugin.
    pub(crate) async fn bare() -> Self {
        Self::on(&[], |_, _| {}).await
    }

    async fn on(plugins: &[&str], change: impl FnOnce(&mut Settings, &mut WorkSettings)) -> Self {
        let (database, folder) = (Fresh::new().await, TempDir::new().unwrap());
        for plugin in plugins {
            let from = components().join(plugin);
            std::fs::copy(&from, folder.path().join(from.file_name().unwrap()))
                .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests`", from.display()));
        }
        let store = Arc::new(Store::open(database.location()).await.unwrap());
        let keys = Arc::new(MemoryRing::new().unwrap()).keys(KeyRing::new(&[7; 32])).unwrap();
        keys.hold_against(&store, Fixed.now()).await.unwrap();
        let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(Fixed), Arc::new(Counter::default()));
        let catalogue = Catalogue::open(
            Shelf::Database(Store::clone(&store)),
            Sandbox::new(SandboxConfig::default()).unwrap(),
            Arc::clone(&clock),
            convergence_plugin::Settings::of(folder.path().to_owned(), "test"),
        );
        let catalogue = Arc::new(Box::pin(catalogue).await.unwrap());
        let runtime = Arc::new(FakeRuntime::new());
        let (mut settings, mut work) = (settings(), work());
        change(&mut settings, &mut work);
        let kinds = convergence_provision::kinds();
        let operations = Operations::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&ids), work, kinds);
        let operations = Arc::new(operations);
        let sources = Arc::new(Sources::open(folder.path().join("sources"), SourceLimits::default()).unwrap());
        let provisioner = Arc::new(Provisioner::new(
            Arc::clone(&store),
            Arc::clone(&operations),
            Arc::clone(&catalogue),
            Arc::clone(&sources),
            Arc::clone(&runtime) as Arc<dyn Builder>,
            Arc::clone(&runtime) as Arc<dyn Runtime>,
            keys,
            clock,
            Arc::clone(&ids),
            settings,
        ));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let registry = provisioner.register(Registry::default());
        tasks.spawn(Arc::clone(&operations).work(registry, stop.clone(), tasks.clone()));
        let app = App {
            provisioner,
            operations,
            store: Arc::clone(&store),
            sources,
            catalogue,
            runtime: Arc::clone(&runtime) as Arc<dyn Runtime>,
            ids,
            wait: Duration::from_secs(60),
            draining: stop.clone(),
            lost_lines: Arc::default(),
        };
        let routes = crate::router(app.clone());
        Self {
            runtime,
            store,
            app,
            routes,
            _stop: stop.clone().drop_guard(),
            stop,
            _database: database,
            _folder: folder,
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        told(self.routes.clone().oneshot(request).await.unwrap()).await
    }

    /// Sends a request to other routes, as if they were this site's.
    pub(crate) async fn with_routes(
        &self,
        routes: Router<App>,
        promises: Promises,
        request: axum::http::request::Builder,
    ) -> Answer {
        let routes = crate::request::around(routes.with_state(self.app.clone()), Arc::clone(&self.app.ids), promises);
        told(routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    }

    /// Sends a request with a JSON body.
    pub(crate) async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = request(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Sends a request without a body.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(request(method, path).body(Body::empty()).unwrap()).await
    }

    /// Asks for a tenant and waits for the outcome.
    pub(crate) async fn spawn(&self, name: &str) -> Answer {
        self.json("POST", "/api/v1/tenant/spawn", &json!({ "name": name, "language": "go" })).await
    }

    /// Asks for a tenant and answers its number and the operation, as soon as it is accepted.
    pub(crate) async fn begin(&self, name: &str) -> (i64, String) {
        let accepted =
            self.json("POST", "/api/v1/tenant/spawn?wait=0", &json!({ "name": name, "language": "go" })).await;
        let document = accepted.document;
        let operation = document["operation"]["url"].as_str().unwrap_or_else(|| panic!("{document}"));
        (document["tenant"]["envId"].as_i64().unwrap(), operation.to_owned())
    }
}

async fn told(response: axum::response::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status, headers, document: serde_json::from_slice(&bytes).unwrap_or(Value::String(text)) }
}

/// A request from this machine.
pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 40000));
    Request::builder().method(method).uri(path).header("host", "localhost").extension(ConnectInfo(Peer(peer)))
}

fn settings() -> Settings {
    Settings {
        instance: "test".to_owned(),
        name_prefix: "t".to_owned(),
        ports: 3001..=3030,
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
        concurrency: 8,
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
