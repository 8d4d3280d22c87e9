//! What a runtime knows of a workload.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use convergence_model::EnvId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A workload as the runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The name it has, which is not the one asked for where it was asked for by id.
    pub name: String,
    /// Its labels, those of its image included.
    pub labels: BTreeMap<String, String>,
    /// Each instance there is. One that ended and was replaced by another is not among them; of a workload that was stopped
    /// there may be none.
    pub instances: Vec<Instance>,
    /// How far what was ensured last has come to run.
    pub rollout: Rollout,
    /// What the front door dials: the addresses of running instances, and ports of hosts that lead to one.
    pub endpoints: Vec<Endpoint>,
}

impl Observed {
    /// The instances whose main process runs.
    pub fn running(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.state == State::Running)
    }
}

/// One container of a workload: a container, a task, a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The engine's id. `exec`, `logs` and `stats` take it in place of the workload's name, to mean this one.
    pub id: String,
    /// The id of the node it runs on, as [`Runtime::nodes`](crate::Runtime::nodes) lists it.
    pub node: String,
    /// What it is doing.
    pub state: State,
    /// Its address within its boundary, while it runs.
    pub address: Option<IpAddr>,
    /// How often it was started again by itself.
    pub restarts: u64,
    /// The digest of the image it runs, `sha256:…`.
    pub image_digest: String,
    /// What its health check says, where it has one.
    pub health: Option<HealthStatus>,
    /// When it was started last, on the engine's clock.
    pub started_at: Option<Timestamp>,
    /// How it ended last, where it ever did; also where it runs again.
    pub last_end: Option<End>,
}

/// How an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// The exit code, where the engine still knows it: Docker forgets it when the container runs again.
    pub code: Option<i64>,
    /// Whether the kernel killed it for its memory.
    pub oom: bool,
    /// When, on the engine's clock.
    pub at: Option<Timestamp>,
}

/// What an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Made and never started.
    Created,
    /// Its main process runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended, and about to be started again.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// The engine failed to remove it.
    Dead,
}

impl State {
    /// Whether there is something to be stopped.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Restarting)
    }
}

/// How far what was ensured last has come to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// The runtime is still at it.
    Progressing,
    /// Every instance is one of what was ensured last.
    Complete,
    /// The runtime gave up.
    Failed {
        /// Why, in the engine's words.
        why: String,
    },
}

/// Where a workload can be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Which kind of address it is.
    pub reach: Reach,
    /// The id of the instance it leads to; `None` where it leads to any of them.
    pub instance: Option<String>,
    /// Address and port. An address of 0.0.0.0 or `::` stands for every address of the node.
    pub address: SocketAddr,
}

/// Which kind of address an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// The instance's own, within its boundary: reachable for the platform, and for nobody outside of the nodes.
    Instance,
    /// A port published on a host.
    Published,
}

/// What a container's own health check says, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthStatus {
    /// The last check passed.
    Healthy,
    /// No verdict yet.
    Starting,
    /// As many checks in a row failed as it takes.
    Unhealthy,
}

/// Something of an installation's to which something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whose it is.
    pub tenant: EnvId,
    /// What it is.
    pub what: Changeable,
    /// Its name now.
    pub name: String,
    /// The engine's id.
    pub id: String,
    /// Its labels of ours; those of the workload where only that is known of a boundary.
    pub labels: BTreeMap<String, String>,
    /// What happened.
    pub change: Change,
}

/// What something may happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changeable {
    /// A workload, or an instance of one.
    Workload,
    /// A boundary.
    Boundary,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// It was started.
    Started,
    /// Its main process ended.
    Ended {
        /// The exit code, where the engine tells it.
        code: Option<i64>,
    },
    /// The kernel killed a process of it for its memory.
    OutOfMemory,
    /// Its health check says something new.
    Health(HealthStatus),
    /// It has another name.
    Renamed {
        /// The name before.
        from: String,
    },
    /// It was frozen, thawed, or given other limits.
    Altered,
    /// A workload was connected to a boundary.
    Connected,
    /// A workload was disconnected from a boundary.
    Disconnected,
    /// It is gone.
    Removed,
}

/// One way in which a workload differs from what it should be.
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

/// What an instance uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Nanoseconds of CPU since its start.
    pub cpu_nanos: u64,
    /// Bytes of memory in use, the file cache that could be given back left out.
    pub memory_bytes: u64,
}
