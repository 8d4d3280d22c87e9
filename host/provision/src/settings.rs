//! What the operator decided about provisioning.

use std::ops::RangeInclusive;
use std::time::Duration;

use convergence_model::Limits;
use convergence_render::{ImagePolicy, Platform};
use convergence_store::SubnetPool;

use crate::ReconcileSettings;

/// What the operator decided about provisioning.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which installation this is; on the label of everything of ours in the engine.
    pub instance: String,
    /// Tells this server's leases from another's; the same again when it is started again.
    pub worker: String,
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
    /// What a tenant gets that asks for nothing.
    pub default_limits: Limits,
    /// How many tenants an organization may have.
    pub tenants_max: Option<u32>,
    /// How long a started tenant may take to answer its probe.
    pub ready_patience: Duration,
    /// How long the runtime lets a build take.
    pub build_limit: Duration,
    /// How long the runtime lets the pulls before a build take.
    pub pull_limit: Duration,
    /// How operations are carried out.
    pub operations: OperationSettings,
    /// How what is there is kept as it is wanted.
    pub reconcile: ReconcileSettings,
}

/// How operations are carried out.
#[derive(Debug, Clone, Copy)]
pub struct OperationSettings {
    /// Operations done at the same time.
    pub concurrency: usize,
    /// Operations that may wait or be under way; beyond that nothing more is accepted.
    pub backlog_max: u32,
    /// How long one is tried before it is given up and undone.
    pub patience: Duration,
    /// How long a worker that is not heard of keeps an operation. Renewed thrice within this.
    pub lease: Duration,
    /// How long a step may take that has no reason to take longer.
    pub step_limit: Duration,
    /// How long a stopping server lets operations go on before it hands them over.
    pub drain: Duration,
    /// The pause before the second attempt at what may pass; it doubles with each, up to half a minute.
    pub pause: Duration,
    /// How often the queue is looked at when nothing was said to be in it: leases of dead workers run out silently.
    pub idle: Duration,
}

impl Default for OperationSettings {
    fn default() -> Self {
        Self {
            concurrency: 8,
            backlog_max: 1000,
            patience: Duration::from_secs(3600),
            lease: Duration::from_secs(15),
            step_limit: Duration::from_secs(120),
            drain: Duration::from_secs(20),
            pause: Duration::from_millis(200),
            idle: Duration::from_secs(1),
        }
    }
}
