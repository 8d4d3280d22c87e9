//! Finding the engine, agreeing on a version, and calling it.
//!
//! Nothing is connected before the first call, every call has a connection of its own, and what was agreed on
//! is forgotten as soon as the engine hangs up: an engine may be absent, restarted or upgraded at any time
//! without the server being restarted.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error as BollardError;
use tokio::sync::Semaphore;

use super::bounds::BuildBounds;
use crate::error::RuntimeError;
use crate::runtime::{EngineInfo, LOCAL_NODE, Node};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How to reach an engine and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// A path, or a URL as in `DOCKER_HOST`: `unix:///run/docker.sock`, `tcp://10.0.0.7:2375`. The usual socket
    /// when `None`; whether the environment is asked is for the caller to decide.
    pub socket: Option<String>,
    /// How long one short call may take.
    pub call_limit: Duration,
    /// How long one build may take.
    pub build_limit: Duration,
    /// How long the pull of one base image may take.
    pub pull_limit: Duration,
    /// Bytes one build may print before it is stopped.
    pub build_output_limit: u64,
    /// What `RUN` steps of builds may reach, as Docker names it: `default` or `none`. Holds for whole builds.
    pub build_network: String,
    /// Builds that are under way at the same time; others wait.
    pub builds_at_once: usize,
    /// What all builds together may use of the machine.
    pub build_bounds: BuildBounds,
}

impl DockerConfig {
    /// Builds that are under way at the same time where nobody says otherwise.
    pub const BUILDS_AT_ONCE: usize = 8;
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            socket: None,
            call_limit: Duration::from_secs(60),
            build_limit: Duration::from_secs(15 * 60),
            pull_limit: Duration::from_secs(10 * 60),
            build_output_limit: 16 * 1024 * 1024,
            build_network: "default".to_owned(),
            builds_at_once: Self::BUILDS_AT_ONCE,
            build_bounds: BuildBounds::default(),
        }
    }
}

/// Where the engine listens.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(String),
    Unsupported(String),
}

impl Address {
    fn parse(socket: Option<&str>) -> Self {
        let text = socket.unwrap_or(DEFAULT_SOCKET);
        match text.split_once("://") {
            None => Self::Unix(text.into()),
            Some(("unix", path)) => Self::Unix(path.into()),
            Some(("tcp" | "http", host)) => Self::Tcp(host.trim_end_matches('/').to_owned()),
            Some(_) => Self::Unsupported(text.to_owned()),
        }
    }
}

/// A Docker engine.
#[derive(Debug)]
pub struct Docker {
    pub(super) config: DockerConfig,
    pub(super) address: Address,
    /// One for each build that may be under way.
    pub(super) builds: Semaphore,
    /// The client with the version agreed on; empty until the first call and after a lost connection.
    client: Mutex<Option<bollard::Docker>>,
}

/// Why one call had no result: what the engine refused, for the caller to interpret, or an error that is the
/// same everywhere.
#[derive(Debug)]
pub(super) enum Fault {
    Refused {
        status: u16,
        message: String,
    },
    Failed(RuntimeError),
    /// The connection ended before the answer did; whether the effect happened is unknown.
    Lost(String),
}

impl Fault {
    /// The error for a refusal that the caller has no better name for.
    pub(super) fn into_error(self, docker: &Docker) -> RuntimeError {
        match self {
            Self::Refused { status, message } => RuntimeError::Engine { status, message: bounded(&message) },
            Self::Failed(error) => error,
            Self::Lost(cause) => RuntimeError::Unreachable {
                socket: docker.socket(),
                cause,
                hint: "it hung up in the middle of a call; see the engine's own log".to_owned(),
            },
        }
    }
}

impl Docker {
    /// Describes an engine. Nothing is connected yet, so this cannot fail.
    pub fn connect(config: DockerConfig) -> Self {
        let address = Address::parse(config.socket.as_deref());
        let builds = Semaphore::new(config.builds_at_once);
        Self { config, address, builds, client: Mutex::new(None) }
    }

    /// Whether the engine is on this machine, as far as its address tells.
    pub(super) fn is_of_this_machine(&self) -> bool {
        matches!(self.address, Address::Unix(_))
    }

    /// Where the engine is looked for, as people write it.
    pub(super) fn socket(&self) -> String {
        match &self.address {
            Address::Unix(path) => path.display().to_string(),
            Address::Tcp(host) => format!("tcp://{host}"),
            Address::Unsupported(text) => text.clone(),
        }
    }

    /// One short call, made again once where the engine hung up: every call of this crate is safe to repeat,
    /// and the second one finds what the first one did.
    pub(super) async fn call<T, Answer>(
        &self,
        what: &str,
        make: impl Fn(bollard::Docker) -> Answer + Send + Sync,
    ) -> Result<T, Fault>
    where
        Answer: Future<Output = Result<T, BollardError>> + Send,
    {
        self.call_within(what, self.config.call_limit, make).await
    }

    /// [`Docker::call`] with a limit of its own.
    pub(super) async fn call_within<T, Answer>(
        &self,
        what: &str,
        limit: Duration,
        make: impl Fn(bollard::Docker) -> Answer + Send + Sync,
    ) -> Result<T, Fault>
    where
        Answer: Future<Output = Result<T, BollardError>> + Send,
    {
        match self.call_once(what, limit, &make).await {
            Err(Fault::Lost(cause)) => {
                tracing::warn!(what, cause, "the engine hung up, asking again");
                self.call_once(what, limit, &make).await
            }
            answer => answer,
        }
    }

    async fn call_once<T, Answer>(
        &self,
        what: &str,
        limit: Duration,
        make: impl Fn(bollard::Docker) -> Answer + Send + Sync,
    ) -> Result<T, Fault>
    where
        Answer: Future<Output = Result<T, BollardError>> + Send,
    {
        let client = self.client().await?;
        match tokio::time::timeout(limit, make(client)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.fault(error, what)),
            Err(_) => Err(Fault::Failed(RuntimeError::Timeout { what: what.to_owned(), after: limit })),
        }
    }

    /// The client, connected and with a version both sides speak.
    pub(super) async fn client(&self) -> Result<bollard::Docker, Fault> {
        if let Some(client) = self.known().clone() {
            return Ok(client);
        }
        // Bollard's own limit covers the head of an answer only; ours covers the whole call.
        let seconds = u64::MAX / 4;
        let client = match &self.address {
            Address::Unix(path) => {
                bollard::Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)
            }
            Address::Tcp(host) => bollard::Docker::connect_with_http(host, seconds, API_DEFAULT_VERSION),
            Address::Unsupported(text) => Err(BollardError::UnsupportedURISchemeError { uri: text.clone() }),
        };
        let limit = self.config.call_limit;
        let what = "agree on a version of the API";
        let client = client.map_err(|error| self.fault(error, what))?;
        let client = match tokio::time::timeout(limit, client.negotiate_version()).await {
            Ok(answer) => answer.map_err(|error| self.fault(error, what))?,
            Err(_) => return Err(Fault::Failed(RuntimeError::Timeout { what: what.to_owned(), after: limit })),
        };
        *self.known() = Some(client.clone());
        Ok(client)
    }

    fn known(&self) -> MutexGuard<'_, Option<bollard::Docker>> {
        // Nothing panics while it is held, and the value is whole at any time.
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sorts what bollard reports.
    pub(super) fn fault(&self, error: BollardError, what: &str) -> Fault {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                if status_code == 400 && message.contains("is too new") {
                    // An older engine took the place of the one that was asked first.
                    *self.known() = None;
                    return Fault::Lost(message);
                }
                Fault::Refused { status: status_code, message }
            }
            BollardError::DockerStreamError { error } => Fault::Refused { status: 500, message: error },
            BollardError::SocketNotFoundError(_) => Fault::Failed(self.unreachable("there is no such socket", None)),
            BollardError::UnsupportedURISchemeError { uri } => Fault::Failed(RuntimeError::Unreachable {
                socket: uri,
                cause: "this kind of address is not supported".to_owned(),
                hint: "give the path of a Unix socket or tcp://host:port".to_owned(),
            }),
            BollardError::RequestTimeoutError => {
                Fault::Failed(RuntimeError::Timeout { what: what.to_owned(), after: self.config.call_limit })
            }
            BollardError::HyperLegacyError { ref err } if err.is_connect() => {
                *self.known() = None;
                Fault::Failed(self.unreachable(&innermost(&error), io_kind(&error)))
            }
            BollardError::HyperLegacyError { .. }
            | BollardError::HyperResponseError { .. }
            | BollardError::IOError { .. } => {
                *self.known() = None;
                Fault::Lost(innermost(&error))
            }
            other => Fault::Refused { status: 0, message: format!("{what}: {other}") },
        }
    }

    /// The error for a socket that cannot be connected to.
    pub(super) fn unreachable(&self, cause: &str, kind: Option<io::ErrorKind>) -> RuntimeError {
        let hint = match kind {
            Some(io::ErrorKind::PermissionDenied) => "run as a user who may open it, usually one in the group `docker`",
            _ => {
                "start Docker (`systemctl start docker`; in a checkout of Convergence `cargo xtask engine`), \
                 or configure the socket of the engine to use"
            }
        };
        RuntimeError::Unreachable { socket: self.socket(), cause: cause.to_owned(), hint: hint.to_owned() }
    }

    pub(super) async fn engine_info(&self) -> Result<EngineInfo, RuntimeError> {
        let version = self
            .call("read its version", |client| async move { client.version().await })
            .await
            .map_err(|fault| fault.into_error(self))?;
        let info = self
            .call("describe itself", |client| async move { client.info().await })
            .await
            .map_err(|fault| fault.into_error(self))?;
        let api_version = self.client().await.map_err(|fault| fault.into_error(self))?.client_version();
        let podman =
            version.components.iter().flatten().any(|component| component.name.to_lowercase().contains("podman"));
        let linux = version.os.as_deref() == Some("linux");
        Ok(EngineInfo {
            name: if podman { "podman" } else { "docker" }.to_owned(),
            version: version.version.unwrap_or_default(),
            api_version: api_version.to_string(),
            // In the engine itself since 18.09; Podman imitates the older builder.
            buildkit: linux && !podman && (api_version.major_version, api_version.minor_version) >= (1, 39),
            cgroup_version: info.cgroup_version.map(|version| version.to_string()).unwrap_or_default(),
            cgroup_driver: info.cgroup_driver.map(|driver| driver.to_string()).unwrap_or_default(),
            storage_driver: info.driver.unwrap_or_default(),
            security_options: info.security_options.unwrap_or_default(),
            root_dir: info.docker_root_dir.unwrap_or_default(),
            architecture: version.arch.unwrap_or_default(),
            cpus: info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).filter(|cpus| *cpus > 0),
            memory_mb: info.mem_total.and_then(|bytes| u32::try_from(bytes >> 20).ok()).filter(|mib| *mib > 0),
        })
    }

    /// The machine the engine runs on.
    pub(super) async fn node(&self) -> Result<Node, RuntimeError> {
        let info = self
            .call("describe its machine", |client| async move { client.info().await })
            .await
            .map_err(|fault| fault.into_error(self))?;
        Ok(Node {
            id: LOCAL_NODE.to_owned(),
            name: info.name.unwrap_or_default(),
            ready: true,
            address: None,
            cpus: info.ncpu.and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or_default(),
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        })
    }
}

/// An engine's message, cut where it would flood a log.
pub(super) fn bounded(message: &str) -> String {
    const MOST: usize = 2000;
    let message = message.trim();
    match message.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

/// The cause at the bottom of a chain of errors: bollard's and hyper's own say little.
fn innermost(error: &BollardError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn io_kind(error: &BollardError) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(io) = source.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        cause = source.source();
    }
    None
}
