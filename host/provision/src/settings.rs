//! What the operator decided about provisioning.

use std::ops::RangeInclusive;
use std::time::Duration;

use convergence_model::Limits;
use convergence_render::{ImagePolicy, Platform};
use convergence_source::GitSettings;
use convergence_store::SubnetPool;

use crate::ReconcileSettings;

/// What the operator decided about provisioning.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which installation this is; on the label of everything of ours in the engine.
    pub instance: String,
    /// Comes before a tenant's number in names: `convergence-tenant`.
    pub name_prefix: String,
    /// Ports of the host for tenants, lowest first.
    pub ports: RangeInclusive<u16>,
    /// Small networks for tenants.
    pub subnets: SubnetPool,
    /// What every tenant is told about the platform, and where its port is published.
    pub platform: Platform,
    /// Which images may be used and what they resolve to.
    pub images: ImagePolicy,
    /// Certificate authorities for the network of a build, PEM.
    pub ca_bundle: Option<Vec<u8>>,
    /// Whether applications may be built from a Dockerfile of their own.
    pub own_dockerfile: bool,
    /// What a tenant gets that asks for nothing.
    pub default_limits: Limits,
    /// How many tenants an organization may have.
    pub tenants_max: Option<u32>,
    /// How long a started tenant may take to answer its probe.
    pub ready_patience: Duration,
    /// How long the runtime lets a build take.
    pub build_limit: Duration,
    /// How long a build may wait for others to end.
    pub build_wait: Duration,
    /// Bytes of the engine's cache of builds that are kept.
    pub cache_max: u64,
    /// How long something of that cache is kept which no build uses.
    pub cache_keep: Duration,
    /// How long the runtime lets the pulls before a build take.
    pub pull_limit: Duration,
    /// How many images of a tenant are kept, so that revisions can be restored; the one that runs always is.
    pub images_keep: u32,
    /// Which Git repositories may be fetched, and how.
    pub git: GitSettings,
    /// Bytes of sources that an organization may keep.
    pub sources_max: u64,
    /// How long a source is kept that nothing is built from.
    pub sources_keep: Duration,
    /// How what is there is kept as it is wanted.
    pub reconcile: ReconcileSettings,
}

impl Settings {
    /// How long making an image may take, with everything that it waits for.
    pub(crate) fn image_limit(&self) -> Duration {
        self.build_limit.saturating_add(self.build_wait).saturating_add(self.pull_limit)
    }
}
