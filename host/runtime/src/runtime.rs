//! The trait of what runs workloads, and the plain data it speaks in.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::workload::{Boundary, Workload};
use futures_util::Stream;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::capability::Capabilities;
use crate::error::RuntimeError;
use crate::observed::{Changed, Deviation, Observed, Usage};
use crate::owned::Owned;
use crate::owner::Owner;

/// The node of a runtime that has one.
pub const LOCAL_NODE: &str = "local";

/// Lines of a workload as they are printed.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogLine, RuntimeError>> + Send>>;

/// What happens to things of an installation, as it happens.
pub type ChangeStream = BoxStream<'static, Result<Changed, RuntimeError>>;

/// Where the output of a command goes, in the pieces it comes in. Called from the future that does the work, so it must
/// not block.
pub type Output<'a> = &'a mut (dyn FnMut(LogSource, &[u8]) + Send);

/// Runs workloads. What an implementation must hold to is in the documentation of [this crate](crate).
///
/// Besides the errors named at each method, all may answer [`RuntimeError::Unreachable`], [`RuntimeError::Timeout`] and
/// [`RuntimeError::Engine`]. Dropping a future gives up waiting; the effect may still happen.
#[async_trait]
pub trait Runtime: Debug + Send + Sync {
    /// What this runtime can do beyond what every one can. Asks nobody, and never changes.
    fn capabilities(&self) -> Capabilities;

    /// What kind of engine this is. Cheap: a few milliseconds, nothing is changed.
    async fn engine(&self) -> Result<EngineInfo, RuntimeError>;

    /// Whether the engine answers, in a fraction of what [`Runtime::engine`] takes.
    async fn ping(&self) -> Result<(), RuntimeError> {
        self.engine().await.map(drop)
    }

    /// The machines that instances run on, in the order of ids.
    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError>;

    /// Makes sure of a boundary. One of that name with these labels and this shape is adopted; one of the owner's with
    /// another shape is replaced.
    ///
    /// # Errors
    /// [`RuntimeError::SubnetTaken`] where the runtime takes leased addresses: lease others.
    /// [`RuntimeError::Conflict`]: the name belongs to somebody else, or workloads hold the old one.
    async fn ensure_boundary(
        &self,
        boundary: &Boundary,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError>;

    /// Removes the owner's boundary, with every other of theirs that carries the same name.
    ///
    /// # Errors
    /// [`RuntimeError::Conflict`] while workloads run in it.
    async fn remove_boundary(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError>;

    /// Makes sure of a volume; an existing one is adopted with what is in it, never replaced.
    ///
    /// # Errors
    /// [`RuntimeError::Conflict`] where the volume belongs to another installation or tenant.
    async fn ensure_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Ensured, RuntimeError>;

    /// Removes the owner's volume and what is in it.
    ///
    /// # Errors
    /// [`RuntimeError::Conflict`] while a workload uses it.
    async fn remove_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError>;

    /// Bytes in each of an installation's volumes, by the volume's name; `None` of one whose size the engine does not tell.
    /// The engine may have to walk the disk for it, so this has a limit of its own and is not for every request.
    async fn volume_sizes(&self, instance: &str) -> Result<BTreeMap<String, Option<u64>>, RuntimeError>;

    /// Makes sure that there is exactly this workload under its name, and that it runs or is stopped as `desired`.
    ///
    /// One made from the same workload and unaltered since is adopted: started where it should run and does not, stopped
    /// with its signal and grace where it should not and does. Anything else of the owner's under the name is stopped in
    /// the same way, removed, and made anew.
    ///
    /// **What the engine made is compared with what was asked for before anything in it runs**; where it differs it is
    /// removed without ever having run. This does not wait until the app is ready: see [`Runtime::wait_ready`].
    ///
    /// # Errors
    /// [`RuntimeError::Deviates`] where the engine made something else; [`RuntimeError::NotFound`] where the image or the
    /// boundary is missing; [`RuntimeError::Conflict`] where the name belongs to somebody else;
    /// [`RuntimeError::Ambiguous`] where the boundary is there twice; [`RuntimeError::Unsupported`] where the workload has
    /// a published port, or more than one replica is desired, and the runtime does not claim it.
    async fn ensure(&self, workload: &Workload, desired: Desired) -> Result<Placement, RuntimeError>;

    /// Gives what runs under the workload's name the limits of the workload, without a restart. Afterwards
    /// [`Runtime::verify`] finds no deviation from the workload, and [`Runtime::ensure`] adopts it.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; [`RuntimeError::Conflict`] where the name belongs to somebody else;
    /// [`RuntimeError::Unsupported`].
    async fn resize(&self, workload: &Workload) -> Result<(), RuntimeError>;

    /// Stops the owner's workload, killing it after `grace`, and leaves it with what it printed where the engine keeps
    /// that. It needs no workload to compare with, and replaces nothing. One that does not run, does not exist or is not
    /// the owner's is success.
    async fn stop(&self, name: &str, owner: Owner<'_>, grace: Duration) -> Result<(), RuntimeError>;

    /// Removes the owner's workload, killing it where it runs. Its volumes stay.
    async fn remove(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError>;

    /// What the runtime knows of a workload; `None` where there is none of that name.
    async fn observe(&self, name: &str) -> Result<Option<Observed>, RuntimeError>;

    /// Everything in which what is there differs from what the workload asks for, running or not. Empty means it is
    /// exactly that. Values of variables are never in the answer.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    async fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError>;

    /// Waits until the rollout is complete and every instance answers its probe.
    ///
    /// # Errors
    /// [`RuntimeError::Exited`] as soon as an instance ends or restarts; [`RuntimeError::NotReady`] after `patience`, or
    /// as soon as the rollout failed; [`RuntimeError::NotFound`].
    async fn wait_ready(&self, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError>;

    /// Runs a command in a running instance, as its user, hands out what it prints as it comes, and answers the exit code.
    /// The one method that is not made again by itself: a command may do something twice.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; [`RuntimeError::Conflict`] where nothing runs; [`RuntimeError::Timeout`] past `limit`;
    /// [`RuntimeError::Unsupported`].
    async fn exec(
        &self,
        name: &str,
        command: &[String],
        limit: Duration,
        output: Output<'_>,
    ) -> Result<i64, RuntimeError>;

    /// The newest lines of a workload, oldest first, at most 10 000 and 4 MiB.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    async fn logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError>;

    /// Lines as they are printed, after those that `query` selects; ends when the workload does.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; later failures come as the last item of the stream.
    async fn follow_logs(&self, name: &str, query: &LogQuery) -> Result<LogStream, RuntimeError>;

    /// What a running workload uses now, its instances together. Takes about a tenth of a second, in which the CPU is
    /// measured.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`]; [`RuntimeError::Conflict`] where nothing runs.
    async fn stats(&self, name: &str) -> Result<Usage, RuntimeError>;

    /// Everything that carries an installation's label, in the order of names.
    async fn owned(&self, instance: &str) -> Result<Owned, RuntimeError>;

    /// What happens to an installation's workloads and boundaries, from now on: found by label, so also under another name.
    /// It says where to look, not what is to be found there; what happened while nobody listened is not told.
    ///
    /// # Errors
    /// Later failures come as the last item of the stream.
    async fn changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError>;
}

/// Whether a workload should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desired {
    /// Made, and not running.
    Stopped,
    /// Running.
    Running {
        /// How many instances.
        replicas: NonZeroU32,
    },
}

impl Desired {
    /// One running instance.
    pub const ONE: Self = Self::Running { replicas: NonZeroU32::MIN };
}

/// How [`Runtime::ensure`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Placement {
    /// It did not exist.
    Created,
    /// It existed exactly so.
    Adopted,
    /// It existed differently, and was stopped and removed first.
    Replaced,
    /// Another program has the port of the host. Nothing runs; what was made may be left, not started. Ensure it with
    /// another port, or remove it.
    PortTaken {
        /// The host's port.
        port: u16,
    },
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
    /// For example `cgroupfs` or `systemd`; empty where it does not say.
    pub cgroup_driver: String,
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

/// A machine that instances run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// The runtime's id of it; [`LOCAL_NODE`] where there is one.
    pub id: String,
    /// As people call it.
    pub name: String,
    /// Whether it takes new instances.
    pub ready: bool,
    /// Where its published ports are reached from other machines, where the runtime knows.
    pub address: Option<IpAddr>,
    /// Its cores.
    pub cpus: u32,
    /// Its memory in bytes.
    pub memory_bytes: u64,
}

/// How `ensure_boundary` or `ensure_volume` ended.
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

/// How a workload became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// How long it took from the call on.
    pub after: Duration,
    /// How many probes it took.
    pub attempts: u32,
}

/// Which lines of a workload are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// At most this many of the newest; all that are kept when `None`.
    pub tail: Option<u32>,
    /// Nothing printed before this.
    pub since: Option<Timestamp>,
    /// Whether each line carries its time. Costs the engine a little.
    pub timestamps: bool,
}

/// One line that an instance printed.
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

/// What became of a request to remove something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use]
pub enum Removal {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// What has the name belongs to somebody else; it was left as it is.
    Foreign,
}
