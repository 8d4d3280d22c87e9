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
    /// MiB on disk, image layers excluded. Recorded and bounded by policies; not enforced yet, see `docs/security.md`.
    pub disk_mb: u32,
    /// Containers running at the same time.
    pub replicas: u32,
    /// Processes and threads inside one container.
    pub pids: u32,
}

impl Limits {
    /// What a tenant gets that asks for nothing: 0.5 cores, 512 MiB of memory, 2 GiB of disk.
    pub const DEFAULT: Self = Self { cpu_millis: 500, memory_mb: 512, disk_mb: 2048, replicas: 1, pids: 256 };

    /// The least CPU that container engines accept, in thousandths of a core.
    pub const CPU_MILLIS_MIN: u32 = 10;

    /// The least memory that container engines accept, in MiB.
    pub const MEMORY_MB_MIN: u32 = 6;

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

    /// MiB of memory an engine keeps for one container when the machine runs short: half of the limit, and at least
    /// the 6 MiB below which engines refuse.
    pub fn memory_reservation_mb(self) -> u32 {
        (self.memory_mb / 2).max(Self::MEMORY_MB_MIN)
    }

    /// One container's share of a busy machine, as engines count it: 1024 a core, within the 2 to 262144 they take.
    pub fn cpu_shares(self) -> u32 {
        let shares = u64::from(self.cpu_millis) * 1024 / 1000;
        u32::try_from(shares.clamp(2, 262_144)).unwrap_or(262_144)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
