//! What runtimes differ in.

use std::fmt;

use convergence_model::workload::Workload;
use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;
use crate::runtime::Desired;

/// What a runtime can do beyond what every one of them can.
///
/// What is claimed is shown by the conformance suite. What is not claimed answers [`RuntimeError::Unsupported`] where it
/// can be asked for; [`Capabilities::start_first`], [`Capabilities::leased_addresses`] and [`Capabilities::disk_quota`] are
/// asked for by nobody: without them a replacement stops first, the leased addresses are ignored, and nothing holds a
/// workload to its `disk_mb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// [`Runtime::resize`](crate::Runtime::resize) changes the limits of what runs, without a restart.
    pub live_limits: bool,
    /// A workload is published on the port of a host that the platform chose, and a port that is taken is told.
    pub host_ports: bool,
    /// A replacement starts before what it replaces stops.
    pub start_first: bool,
    /// [`Runtime::exec`](crate::Runtime::exec) runs a command in a running instance.
    pub exec: bool,
    /// A workload may have more than one instance.
    pub replicas: bool,
    /// A boundary takes the addresses that the platform leased, and addresses that are taken are told.
    pub leased_addresses: bool,
    /// Who keeps the traffic of one boundary from another.
    pub boundary: Enforcer,
    /// A workload cannot write more than its `disk_mb`.
    pub disk_quota: bool,
}

/// Who keeps the traffic of one boundary from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Enforcer {
    /// The engine itself, always.
    Engine,
    /// A network plugin of the cluster, if one that enforces policies is installed.
    NetworkPlugin,
    /// Nobody.
    Nobody,
}

/// One thing that runtimes differ in and that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Capability {
    /// [`Capabilities::live_limits`].
    LiveLimits,
    /// [`Capabilities::host_ports`].
    HostPorts,
    /// [`Capabilities::exec`].
    Exec,
    /// [`Capabilities::replicas`].
    Replicas,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LiveLimits => "changing the limits of what runs",
            Self::HostPorts => "publishing a chosen port of the host",
            Self::Exec => "running commands in an instance",
            Self::Replicas => "running more than one instance of a workload",
        })
    }
}

impl Capabilities {
    /// Whether this is claimed.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::LiveLimits => self.live_limits,
            Capability::HostPorts => self.host_ports,
            Capability::Exec => self.exec,
            Capability::Replicas => self.replicas,
        }
    }

    /// Refuses what is not claimed. Every implementation asks this first in `ensure`, `resize` and `exec`.
    ///
    /// # Errors
    /// [`RuntimeError::Unsupported`].
    pub fn require(&self, capability: Capability) -> Result<(), RuntimeError> {
        if self.has(capability) { Ok(()) } else { Err(RuntimeError::Unsupported { capability }) }
    }

    /// Refuses a workload that needs what is not claimed.
    ///
    /// # Errors
    /// [`RuntimeError::Unsupported`].
    pub fn allow(&self, workload: &Workload, desired: Desired) -> Result<(), RuntimeError> {
        if workload.published.is_some() {
            self.require(Capability::HostPorts)?;
        }
        match desired {
            Desired::Running { replicas } if replicas.get() > 1 => self.require(Capability::Replicas),
            Desired::Running { .. } | Desired::Stopped => Ok(()),
        }
    }
}
