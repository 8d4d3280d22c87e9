//! How much of a machine a tenant may use.

use serde::{Deserialize, Serialize};

/// What one tenant may use. Integers throughout: no float decides whether a container starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: u32,
    /// MiB of memory; swap is not allowed on top.
    pub memory_mb: u32,
    /// MiB on disk: image layers excluded, volumes and logs included. Measured, see `docs/security.md`.
    pub disk_mb: u32,
    /// Containers running at the same time.
    pub replicas: u32,
    /// Processes and threads inside one container.
    pub pids: u32,
}

impl Limits {
    /// What a tenant gets that asks for nothing: 0.5 cores, 512 MiB of memory, 2 GiB of disk.
    pub const DEFAULT: Self = Self { cpu_millis: 500, memory_mb: 512, disk_mb: 2048, replicas: 1, pids: 256 };

    /// The smaller of each: a policy may tighten limits, never widen them.
    #[must_use]
    pub fn tightened_by(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.min(other.cpu_millis),
            memory_mb: self.memory_mb.min(other.memory_mb),
            disk_mb: self.disk_mb.min(other.disk_mb),
            replicas: self.replicas.min(other.replicas),
            pids: self.pids.min(other.pids),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
