//! The trait every runtime implements, and the plain data it speaks in.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::EnvId;
use convergence_model::build::{BaseImage, BuildLine, ImageBuild};
use convergence_model::workload::{Network, Workload};
use futures_util::Stream;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;
use crate::owner::Owner;

/// Where lines of progress go. Called from the future that does the work, so it must not block.
pub type Progress<'a> = &'a mut (dyn FnMut(BuildLine) + Send);

/// Lines of a container as they are printed.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogLine, RuntimeError>> + Send>>;

/// Builds images and runs containers.
///
/// Every method may be repeated after any error, and by another server at the same time. `ensure_*` ends with
/// the thing as it was asked for or with an error; `remove_*` ends with the owner's thing absent, and one that
/// is absent already is success. What has the name and is not the owner's is left alone. Besides the errors named at each method, all may answer [`RuntimeError::Unreachable`],
/// [`RuntimeError::Timeout`] and [`RuntimeError::Engine`]. Dropping a future gives up waiting; it cancels a
/// build, while any other effect may still happen.
#[async_trait]
pub trait Runtime: Debug + Send + Sync {
    /// What kind of engine this is and what it can do. Cheap: a few milliseconds, nothing is changed.
    async fn engine(&self) -> Result<EngineInfo, RuntimeError>;

    /// Whether the engine answers, in a fraction of what [`Runtime::engine`] takes.
    async fn ping(&self) -> Result<(), RuntimeError> {
        self.engine().await.map(drop)
    }

    /// The engine's id (`sha256:…`) of this image, or `None` where it does not have it. Pulls nothing.
    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError>;

    /// Looks a base image up, pulling it first where the engine does not have it.
    ///
    /// # Errors
    /// [`RuntimeError::PullFailed`] where it is neither here nor to be had.
    async fn base_image(&self, reference: &str, progress: Progress<'_>) -> Result<BaseImage, RuntimeError>;

    /// Builds an image, tags and labels it, and answers its id, `sha256:…`. An identical build is a cache hit.
    /// Dropping the future cancels the build.
    ///
    /// # Errors
    /// [`RuntimeError::BuildFailed`]; [`RuntimeError::Timeout`] past the limit of the runtime's configuration.
    async fn build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError>;

    /// Makes sure of a tenant's network. One of that name with our labels and this subnet is adopted; one with
    /// our labels and another shape is replaced.
    ///
    /// # Errors
    /// [`RuntimeError::SubnetTaken`]: take another subnet. [`RuntimeError::Conflict`]: the name is somebody
    /// else's, or containers hold the old one.
    async fn ensure_network(
        &self,
        network: &Network,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError>;

    /// Removes the owner's network, with every other of theirs that carries the same name.
    ///
    /// # Errors
    /// [`RuntimeError::Conflict`] while containers are attached.
    async fn remove_network(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError>;

    /// Makes sure of a volume; an existing one is adopted with what is in it, never replaced.
    ///
    /// # Errors
    /// [`RuntimeError::Conflict`] where the volume belongs to another installation or tenant.
    async fn ensure_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Ensured, RuntimeError>;

    /// Removes the owner's volume and what is in it.
    ///
    /// # Errors
    /// [`RuntimeError::Conflict`] while a container uses it.
    async fn remove_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError>;

    /// Makes sure a container of this name was created from exactly this workload. It is not started.
    /// The same workload, unaltered since, is adopted in whatever state it is; anything else of ours under the
    /// name is destroyed and created anew.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] where the image is missing; [`RuntimeError::Conflict`] where the name is
    /// somebody else's.
    async fn ensure_container(&self, workload: &Workload) -> Result<Ensured, RuntimeError>;

    /// Starts a container; one that runs already is success.
    ///
    /// # Errors
    /// [`RuntimeError::PortTaken`]: the container stays, created; remove it and take another port.
    /// [`RuntimeError::NotFound`] where the container or its network is missing.
    async fn start(&self, name: &str) -> Result<(), RuntimeError>;

    /// Stops the owner's container, killing it after `grace`. One that does not run, does not exist or is not the
    /// owner's is success.
    async fn stop(&self, name: &str, owner: Owner<'_>, grace: Duration) -> Result<(), RuntimeError>;

    /// Removes the owner's container, killing it where it runs. Its volumes stay.
    async fn remove_container(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError>;

    /// What the engine knows of a container; `None` where it does not exist.
    async fn inspect(&self, name: &str) -> Result<Option<Observed>, RuntimeError>;

    /// Everything in which the container differs from what the workload asks for. Empty means it is exactly
    /// that. Values of variables are never in the answer.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    async fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError>;

    /// Waits until a started container answers its probe.
    ///
    /// # Errors
    /// [`RuntimeError::Exited`] as soon as it ends or restarts; [`RuntimeError::NotReady`] after `patience`;
    /// [`RuntimeError::NotFound`].
    async fn wait_ready(&self, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError>;

    /// Runs a command in a running container, as its user, and answers the exit code. What it prints is
    /// discarded.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; [`RuntimeError::Conflict`] where it does not run; [`RuntimeError::Timeout`].
    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<i64, RuntimeError>;

    /// The newest lines of a container, oldest first, at most 10 000 and 4 MiB.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    async fn logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError>;

    /// Lines as they are printed, after those that `query` selects; ends when the container does.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; later failures come as the last item of the stream.
    async fn follow_logs(&self, name: &str, query: &LogQuery) -> Result<LogStream, RuntimeError>;

    /// What a running container uses now. Takes about a tenth of a second, in which the CPU is measured.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; [`RuntimeError::Conflict`] where it does not run.
    async fn stats(&self, name: &str) -> Result<Usage, RuntimeError>;

    /// Removes a tag of an image that an installation built, and the image where that was its last tag. An image
    /// may serve several tenants, so it belongs to none of them.
    async fn remove_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError>;

    /// Everything in the engine that carries an installation's label, in the order of names.
    async fn owned(&self, instance: &str) -> Result<Owned, RuntimeError>;

    /// Containers of an installation to which something happens, as it happens, from now on. It says where to look, not
    /// what is to be found there; what happened while nobody listened is not told.
    ///
    /// # Errors
    /// Later failures come as the last item of the stream.
    async fn changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError>;
}

/// Containers to which something happened, as they come.
pub type ChangeStream = BoxStream<'static, Result<Changed, RuntimeError>>;

/// A container to which something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose it is.
    pub tenant: EnvId,
    /// What happened, as the engine names it: `die`, `oom`, `destroy`, …
    pub action: String,
}

/// What an engine is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineInfo {
    /// `docker`, `podman`, `fake`, …
    pub name: String,
    /// For example `20.10.24`.
    pub version: String,
    /// The version of the API that was agreed on, for example `1.41`.
    pub api_version: String,
    /// Whether it can build with BuildKit, without which no template's image builds.
    pub buildkit: bool,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// For example `overlay2`.
    pub storage_driver: String,
    /// For example `name=seccomp,profile=default`, `name=rootless`.
    pub security_options: Vec<String>,
    /// Where it keeps images and volumes.
    pub root_dir: String,
    /// As images name it: `amd64`, `arm64`.
    pub architecture: String,
    /// Processors that containers may use, where it says.
    pub cpus: Option<u32>,
    /// MiB of memory that containers may use, where it says.
    pub memory_mb: Option<u32>,
}

/// How an `ensure_*` reached its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ensured {
    /// It did not exist. An undo may remove it.
    Created,
    /// It existed exactly so. An undo leaves it.
    Adopted,
    /// It existed otherwise and was destroyed first.
    Replaced,
}

impl Ensured {
    /// Whether this call made it, so that an undo may remove it.
    pub fn created(self) -> bool {
        self == Self::Created
    }
}

/// A container as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The engine's id.
    pub id: String,
    /// The id of the image it was created from.
    pub image_id: String,
    /// What it is doing.
    pub state: State,
    /// When it was started last, on the engine's clock.
    pub started_at: Option<Timestamp>,
    /// When it ended last, on the engine's clock.
    pub finished_at: Option<Timestamp>,
    /// What its health check says, where it has one.
    pub health: Option<HealthStatus>,
    /// Its address in its network, while it runs.
    pub address: Option<IpAddr>,
    /// How often the engine restarted it since it was started last.
    pub restart_count: u64,
    /// Whether the kernel killed it for its memory since it was started last; also where it runs again.
    pub oom_killed: bool,
    /// Its labels, those of its image included.
    pub labels: BTreeMap<String, String>,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum State {
    /// Never started.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended, and the engine is about to start it again.
    Restarting {
        /// The exit code of the run that ended.
        code: i64,
        /// Whether the kernel killed it for its memory.
        oom: bool,
    },
    /// Ended.
    Exited {
        /// The exit code.
        code: i64,
        /// Whether the kernel killed it for its memory.
        oom: bool,
    },
    /// Being removed.
    Removing,
    /// The engine failed to remove it.
    Dead,
}

/// What a container's own health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthStatus {
    /// No verdict yet.
    Starting,
    /// The last check passed.
    Healthy,
    /// As many checks in a row failed as it takes.
    Unhealthy,
}

/// One way in which a container differs from what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deviation {
    /// What differs, as the engine names it, for example `HostConfig.Privileged`.
    pub field: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub found: String,
}

/// How a container became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// How long it took from the call on.
    pub after: Duration,
    /// How many probes it took.
    pub attempts: u32,
}

/// Which lines of a container are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// At most this many of the newest; all that are kept when `None`.
    pub tail: Option<u32>,
    /// Nothing printed before this.
    pub since: Option<Timestamp>,
    /// Whether each line carries its time. Costs the engine a little.
    pub timestamps: bool,
}

/// One line that a container printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Where it was printed to.
    pub source: LogSource,
    /// When, where it was asked for.
    pub at: Option<Timestamp>,
    /// Without its line break; what is not UTF-8 is replaced. May hold control characters.
    pub text: String,
}

/// Where a line was printed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Percent of one core over the last tenth of a second; for people, no decision rests on it.
    pub cpu_percent: f64,
    /// Nanoseconds of CPU since the container's start.
    pub cpu_nanos: u64,
    /// Bytes of memory in use, the file cache that could be given back left out.
    pub memory_bytes: u64,
}

/// What became of a request to remove something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// What has the name is somebody else's; it was left as it is.
    Foreign,
}

/// What became of a request to remove an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageRemoval {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// A container or another image needs it; it was left.
    InUse,
    /// The installation did not build what has the name; it was left.
    Foreign,
}

/// Everything of one installation in an engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owned {
    /// Containers, running or not.
    pub containers: Vec<OwnedItem>,
    /// Networks.
    pub networks: Vec<OwnedItem>,
    /// Volumes.
    pub volumes: Vec<OwnedItem>,
    /// Images; one item a tag, and the id as the name of one without a tag.
    pub images: Vec<OwnedItem>,
}

impl Owned {
    /// Whether nothing is left at all.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty() && self.images.is_empty()
    }
}

/// Something of ours in an engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedItem {
    /// Its name, as every method here takes it.
    pub name: String,
    /// The engine's id; a volume's is its name.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl OwnedItem {
    /// Whose it is; `None` of an image, which belongs to no tenant.
    pub fn owner(&self) -> Option<Owner<'_>> {
        Owner::of(&self.labels)
    }
}
