//! A small application to run, and an installation of its own for every test, cleaned up whatever happens.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::path::Path;

use convergence_model::build::ImageBuild;
use convergence_model::plan::{Contents, File, Health, Probe};
use convergence_model::secret::Secret;
use convergence_model::workload::{Boundary, EnvValue, LogRotation, Mount, Published, Subnet, Tmpfs, Workload, label};
use convergence_model::{EnvId, Limits};
use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{Builder, Ensured, Owner, Removal, Runtime, RuntimeError};
use futures_util::FutureExt;

/// Answers `GET` on `$PORT` and prints a line first; ends, or eats memory, where a variable says so.
const SERVER: &str = r#"
import http.server, os, signal, sys

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("hello from the test", flush=True)
print("and from its other voice", file=sys.stderr, flush=True)
if os.environ.get("END"):
    sys.exit(int(os.environ["END"]))
if os.environ.get("EAT"):
    eaten = []
    while True:
        eaten.append(bytearray(8 << 20))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"#;

const BASE: &str = "python:3.12-slim-bookworm";
const PORT: u16 = 8000;

/// One test's corner of an engine.
pub(crate) struct Fixture {
    /// The label that everything of this test carries.
    pub(crate) instance: String,
    /// The image everything is built from.
    pub(crate) base: String,
    next_subnet: u32,
}

impl Fixture {
    fn new(test: &str, base: String) -> Self {
        let pid = std::process::id();
        Self { instance: format!("try-runtime-{test}-{pid}"), base, next_subnet: pid.wrapping_mul(31) % SUBNETS }
    }

    pub(crate) fn labels(&self, tenant: &str) -> BTreeMap<String, String> {
        [(label::INSTANCE, self.instance.as_str()), (label::TENANT, tenant), (label::OPERATION, "first")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// Who owns the test's tenant, the seventh of its installation.
    pub(crate) fn owner(&self) -> Owner<'_> {
        Owner { instance: &self.instance, tenant: EnvId(7) }
    }

    /// An image with the server in it.
    pub(crate) fn image(&self) -> ImageBuild {
        self.build_of(
            "app",
            "RUN mkdir /data && chown 10001:10001 /data\n\
             WORKDIR /app\nCOPY .convergence/plan/ .\nCMD [\"python3\",\"/app/server.py\"]\n",
        )
    }

    /// An image of these instructions.
    pub(crate) fn build_of(&self, name: &str, instructions: &str) -> ImageBuild {
        ImageBuild {
            tag: format!("{}:{name}", self.instance),
            dockerfile: format!("FROM {}\n{instructions}", self.base),
            context: vec![File {
                path: ".convergence/plan/server.py".to_owned(),
                contents: Contents(SERVER.as_bytes().to_vec()),
                executable: false,
            }],
            source: None,
            args: BTreeMap::new(),
            labels: self.labels("7"),
            cache_namespace: self.instance.clone(),
        }
    }

    /// A container of the server, on a port that is free now.
    pub(crate) fn workload(&self, boundary: &Boundary) -> Workload {
        Workload {
            name: format!("{}-7", self.instance),
            image: format!("{}:app", self.instance),
            labels: self.labels("7"),
            command: ["python3", "/app/server.py"].map(str::to_owned).to_vec(),
            env: BTreeMap::from([
                ("HOME".to_owned(), EnvValue::Literal("/tmp".to_owned())),
                ("KEY".to_owned(), EnvValue::Secret(Secret::new("sk_$ecret"))),
                ("PORT".to_owned(), EnvValue::Literal(PORT.to_string())),
            ]),
            container_port: PORT,
            published: Some(Published { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: free_port() }),
            boundary: boundary.clone(),
            volumes: vec![Mount { volume: self.volume(), path: "/data".to_owned() }],
            tmpfs: vec![
                Tmpfs { path: "/tmp".to_owned(), size_mb: 8, executable: false },
                Tmpfs { path: "/scratch".to_owned(), size_mb: 8, executable: true },
            ],
            limits: Limits { cpu_millis: 500, memory_mb: 64, disk_mb: 100, replicas: 1, pids: 32 },
            health: Health {
                probe: Probe::Http("/health".to_owned()),
                in_container: Some(["python3", "-c", "0"].map(str::to_owned).to_vec()),
                interval_seconds: 30,
                timeout_seconds: 5,
                retries: 3,
                start_period_seconds: 1,
            },
            stop_signal: "SIGTERM".to_owned(),
            stop_grace_seconds: 5,
            host_aliases: vec!["host.convergence.internal".to_owned()],
            log_rotation: LogRotation::DEFAULT,
        }
    }

    pub(crate) fn volume(&self) -> String {
        format!("{}-data", self.instance)
    }

    /// A subnet that no other test of this process asked for.
    pub(crate) fn subnet(&mut self) -> Subnet {
        self.next_subnet = (self.next_subnet + 1) % SUBNETS;
        Subnet::nth(Ipv4Addr::new(10, 213, 0, 0), SUBNETS, self.next_subnet).unwrap()
    }

    /// A boundary of the test's own, of addresses that are free.
    pub(crate) async fn boundary(&mut self, runtime: &dyn Runtime) -> Boundary {
        self.boundary_of(runtime, "7").await
    }

    /// A boundary of one of the test's tenants.
    pub(crate) async fn boundary_of(&mut self, runtime: &dyn Runtime, tenant: &str) -> Boundary {
        loop {
            let boundary = Boundary { name: format!("{}-net-{tenant}", self.instance), addresses: Some(self.subnet()) };
            match runtime.ensure_boundary(&boundary, &self.labels(tenant)).await {
                Ok(Ensured::Created) => return boundary,
                Err(RuntimeError::SubnetTaken { .. }) => {}
                other => panic!("no boundary: {other:?}"),
            }
        }
    }

    /// Image, boundary and volume, and the workload that uses them.
    pub(crate) async fn prepare<R: Runtime + Builder>(&mut self, runtime: &R) -> Workload {
        runtime.build(&self.image(), &mut |_| {}).await.unwrap();
        let boundary = self.boundary(runtime).await;
        runtime.ensure_volume(&self.volume(), &self.labels("7")).await.unwrap();
        let workload = self.workload(&boundary);
        let published = workload.published.filter(|_| runtime.capabilities().host_ports);
        Workload { published, ..workload }
    }
}

const SUBNETS: u32 = 4096;

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Where the tests' engine listens.
pub(crate) fn socket() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "/var/run/docker.sock".to_owned())
}

/// The tests' engine. None of their builds needs a network.
pub(crate) fn config() -> DockerConfig {
    DockerConfig { socket: Some(socket()), build_network: "none".to_owned(), ..DockerConfig::default() }
}

/// The engine as a person with its command line has it.
pub(crate) async fn by_hand() -> bollard::Docker {
    let socket = socket();
    let url = if socket.contains("://") { socket } else { format!("unix://{socket}") };
    bollard::Docker::connect_with_host(&url).unwrap().negotiate_version().await.unwrap()
}

/// The engine, or a failure that says how to get one.
pub(crate) async fn docker() -> Docker {
    let docker = Docker::connect(config());
    if let Err(error) = docker.engine().await {
        panic!("this test needs a Docker engine: {error}; `cargo xtask engine` installs and starts one");
    }
    docker
}

/// The base image as this machine has it.
fn base() -> String {
    let mapping = std::env::var("CONVERGENCE_IMAGES").unwrap_or_else(|_| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/convergence/images.toml").display().to_string()
    });
    let text = std::fs::read_to_string(&mapping).unwrap_or_else(|error| {
        panic!("this test needs base images: {mapping}: {error}; `cargo xtask images` makes them")
    });
    let table: toml::Table = text.parse().unwrap();
    let mapped = table.get("images").and_then(|images| images.get(BASE)?.as_str());
    mapped.unwrap_or(BASE).to_owned()
}

/// Runs a test on Docker and removes everything it made, also where it fails.
pub(crate) async fn on_docker(test: &str, body: impl AsyncFnOnce(&Docker, &mut Fixture)) {
    let docker = docker().await;
    let mut fixture = Fixture::new(test, base());
    run(&docker, &mut fixture, body).await;
}

/// Runs a test and removes everything it made, also where it fails.
pub(crate) async fn on<R: Runtime + Builder>(runtime: &R, test: &str, body: impl AsyncFnOnce(&R, &mut Fixture)) {
    run(runtime, &mut Fixture::new(test, "base".to_owned()), body).await;
}

async fn run<R: Runtime + Builder>(runtime: &R, fixture: &mut Fixture, body: impl AsyncFnOnce(&R, &mut Fixture)) {
    let outcome = AssertUnwindSafe(body(runtime, fixture)).catch_unwind().await;
    clean(runtime, &fixture.instance).await;
    let left = runtime.owned(&fixture.instance).await.unwrap();
    let images = runtime.owned_images(&fixture.instance).await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    assert!(left.is_empty() && images.is_empty(), "left behind: {left:?} {images:?}");
}

async fn clean<R: Runtime + Builder>(runtime: &R, instance: &str) {
    let owned = runtime.owned(instance).await.unwrap();
    for item in owned.workloads {
        assert_eq!(runtime.remove(&item.id, item.owner().unwrap()).await.unwrap(), Removal::Removed);
    }
    for item in owned.boundaries {
        assert_eq!(runtime.remove_boundary(&item.id, item.owner().unwrap()).await.unwrap(), Removal::Removed);
    }
    for item in owned.volumes {
        assert_eq!(runtime.remove_volume(&item.name, item.owner().unwrap()).await.unwrap(), Removal::Removed);
    }
    for item in runtime.owned_images(instance).await.unwrap() {
        runtime.remove_image(&item.name, instance).await.unwrap();
    }
}
