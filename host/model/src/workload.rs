//! What runs: the golden projection of a tenant, its binding and a revision.
//!
//! Every runtime creates its container (service, deployment) from this, and the Compose file is rendered
//! from the same value, so what is shown is what runs. There is no field for privilege, host mounts or
//! host networks: they cannot be asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::plan::Health;
use crate::secret::Secret;

/// The user every tenant runs as, and the owner of its volumes.
pub const USER: u32 = 10_001;

/// Open files one process of a tenant may have. Kept below 20 000: an engine whose own limit is that low cannot
/// give more, and refuses to start the container.
pub const OPEN_FILES: u32 = 16_384;

/// Labels on everything of ours in an engine.
pub mod label {
    /// Which installation of Convergence it belongs to.
    pub const INSTANCE: &str = "convergence.instance";
    /// The tenant's public id.
    pub const TENANT: &str = "convergence.tenant";
    /// The owner's public id.
    pub const ORGANIZATION: &str = "convergence.organization";
    /// The operation that made it.
    pub const OPERATION: &str = "convergence.operation";
    /// The revision's number.
    pub const REVISION: &str = "convergence.revision";
    /// The hash of the workload it was created from; what decides between adopting and replacing.
    pub const SPEC: &str = "convergence.spec-sha256";
    /// The limits it was created with, which may have been changed while it ran.
    pub const LIMITS: &str = "convergence.limits";
    /// The port inside.
    pub const PORT: &str = "convergence.port";
}

/// The option of Docker's bridge networks, and its value, with which containers on one network cannot reach each other
/// over it.
pub const NO_NEIGHBOURS: (&str, &str) = ("com.docker.network.bridge.enable_icc", "false");

/// What is to run: one container, or as many equal ones as there are replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Its name in the runtime; also the container's and the host name inside, where there is one container.
    pub name: String,
    /// The image, as the nodes that run it know it: `repository:tag`, or by digest where nodes pull it.
    pub image: String,
    /// Labels, without [`label::SPEC`], [`label::LIMITS`] and [`label::PORT`], which the runtime adds.
    pub labels: BTreeMap<String, String>,
    /// Program and arguments; the image's entry point is always empty.
    pub command: Vec<String>,
    /// Variables, set literally.
    pub env: BTreeMap<String, EnvValue>,
    /// The port inside.
    pub container_port: u16,
    /// Where it is published on a host; `None` where nothing is: then it is dialled at the addresses of its instances.
    pub published: Option<Published>,
    /// What keeps its traffic from everybody else's.
    pub boundary: Boundary,
    /// Kept folders.
    pub volumes: Vec<Mount>,
    /// Scratch space.
    pub tmpfs: Vec<Tmpfs>,
    /// How much of a machine it may use.
    pub limits: Limits,
    /// How health is asked for.
    pub health: Health,
    /// For example `SIGTERM`.
    pub stop_signal: String,
    /// Seconds between the signal and the kill.
    pub stop_grace_seconds: u32,
    /// Names that resolve to the machine the engine runs on.
    pub host_aliases: Vec<String>,
    /// How much is kept of what it prints.
    pub log_rotation: LogRotation,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// Shown to everybody who may see the tenant.
    Literal(String),
    /// Given to the container; `${NAME}` in a Compose file.
    Secret(Secret),
}

/// Where a port is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The host's address; loopback unless the operator says otherwise.
    pub address: IpAddr,
    /// The host's port.
    pub port: u16,
}

/// What keeps one tenant's traffic from another's: a network of its own on Docker and Swarm, a namespace with network
/// policies on Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// Its name.
    pub name: String,
    /// The addresses that the platform leased for it. A runtime that gives out addresses itself ignores them.
    pub addresses: Option<Subnet>,
}

/// A kept folder and where it appears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The volume's name in the engine.
    pub volume: String,
    /// Absolute path inside.
    pub path: String,
}

/// Scratch space: in memory, empty at start, never setuid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    /// Absolute path inside.
    pub path: String,
    /// MiB.
    pub size_mb: u32,
    /// Whether programs may be run from it.
    pub executable: bool,
}

impl Tmpfs {
    /// The options it is mounted with, as engines and Compose files write them.
    pub fn options(&self) -> String {
        let execution = if self.executable { "exec" } else { "noexec" };
        format!("rw,{execution},nosuid,nodev,size={}m,mode=1777", self.size_mb)
    }
}

/// How much is kept of what a container prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRotation {
    /// MiB in one file.
    pub max_size_mb: u32,
    /// Files.
    pub max_files: u32,
}

impl LogRotation {
    /// Three files of 10 MiB.
    pub const DEFAULT: Self = Self { max_size_mb: 10, max_files: 3 };
}

/// A small IPv4 network, always a /28: 16 addresses, one of them the gateway's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subnet(Ipv4Addr);

impl Subnet {
    /// Addresses in one.
    pub const SIZE: u32 = 16;

    /// The subnet number `index` of a pool that begins at `first` and holds `count` of them; `None` past its end.
    pub fn nth(first: Ipv4Addr, count: u32, index: u32) -> Option<Self> {
        let base = u32::from(Self::containing(first).0);
        (index < count).then(|| Self(Ipv4Addr::from(base.saturating_add(index.saturating_mul(Self::SIZE)))))
    }

    /// The subnet that an address lies in.
    pub fn containing(address: Ipv4Addr) -> Self {
        Self(Ipv4Addr::from(u32::from(address) & !(Self::SIZE - 1)))
    }

    /// Its first address.
    pub fn first(self) -> Ipv4Addr {
        self.0
    }

    /// The inverse of `Display`.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_suffix("/28")?.parse().ok().map(Self)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/28", self.0)
    }
}
