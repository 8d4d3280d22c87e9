//! What can be done to a tenant.
//!
//! Every change to a tenant is an operation, which the room of durable work (`convergence-work`) accepts, carries out,
//! undoes and tells of. Here is what its steps do. Each kind of operation has one file with its recipe (`spawn.rs`,
//! `destroy.rs`, …) and a line in `recipe.rs`.
//!
//! This room asks plugins for plans before the transaction and never afterwards: what they answered is stored
//! in the revision. It never holds a transaction open while it calls a plugin or an engine.

mod cache;
mod capacity;
mod change;
mod configure;
mod deploy;
mod destroy;
mod diff;
mod failure;
mod git;
mod halt;
mod keys;
mod live;
mod manifest;
mod own;
mod planning;
mod recipe;
mod recognize;
mod reconcile;
mod registries;
mod rekey;
mod remove_volume;
mod repair;
mod request;
mod restart;
mod scale;
mod secrets;
mod settings;
mod spawn;
mod start;
mod step;
mod stop;
mod sweep;
mod view;
mod volumes;
mod work;

use std::net::IpAddr;
use std::sync::Arc;

use convergence_model::ids::{Clock, Ids};
use convergence_model::{Limits, OrgId};
use convergence_plugin::Catalogue;
use convergence_runtime::{Builder, Runtime};
use convergence_source::{Received, Sources};
use convergence_store::{Conflict, Store, StoreError};
use convergence_work::Operations;

pub use capacity::Machine;
pub use configure::{Configured, NewVariables, Variables};
pub use deploy::{DeployError, Deployed, Wanted};
pub use diff::{Change, changes};
pub use keys::{Keys, MemoryRing, RingError, RingSource, check_ring};
pub use live::{ContainerReport, UsageReport};
pub use manifest::manifest_schema;
pub use planning::{PlanError, Planned, Preview};
pub use recipe::{kinds, steps};
pub use reconcile::{Held, LookError, OrderError, ReconcileSettings, Stray, leftovers};
pub use registries::LoginError;
pub use rekey::{RingKey, RotateError};
pub use remove_volume::VolumeError;
pub use request::AcceptError;
pub use scale::NewLimits;
pub use settings::Settings;
pub use spawn::Accepted;
pub use view::Report;
pub use volumes::VolumeReport;

/// The kinds of operations on tenants.
#[doc(hidden)]
pub mod kind {
    pub use crate::deploy::KIND as DEPLOY;
    pub use crate::destroy::KIND as DESTROY;
    pub use crate::halt::KIND as HALT;
    pub use crate::rekey::KIND as REKEY;
    pub use crate::remove_volume::KIND as REMOVE_VOLUME;
    pub use crate::repair::KIND as REPAIR;
    pub use crate::restart::KIND as RESTART;
    pub use crate::scale::KIND as SCALE;
    pub use crate::spawn::KIND as SPAWN;
    pub use crate::start::KIND as START;
    pub use crate::stop::KIND as STOP;
    pub use crate::sweep::KIND as SWEEP;
}

/// Does things to tenants. Shared; everything in it is.
#[derive(Debug)]
pub struct Provisioner {
    store: Arc<Store>,
    operations: Arc<Operations>,
    catalogue: Arc<Catalogue>,
    sources: Arc<Sources>,
    builder: Arc<dyn Builder>,
    runtime: Arc<dyn Runtime>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    settings: Settings,
    /// What belongs to nobody, as it was last seen.
    strays: reconcile::strays::Strays,
    /// How apps ended that the engine started again.
    ends: reconcile::ends::Ends,
    /// What was seen of containers within the last second.
    live: live::Live,
    /// How much is in volumes, as it was measured last.
    sizes: volumes::Sizes,
    /// What containers run on.
    machine: capacity::Known,
}

impl Provisioner {
    /// Joins the rooms this one works with. Nothing is done until [`Operations::work`] runs with what
    /// [`Provisioner::register`] registers.
    #[expect(clippy::too_many_arguments, reason = "each is a room, or a source of time, ids or keys")]
    pub fn new(
        store: Arc<Store>,
        operations: Arc<Operations>,
        catalogue: Arc<Catalogue>,
        sources: Arc<Sources>,
        builder: Arc<dyn Builder>,
        runtime: Arc<dyn Runtime>,
        keys: Keys,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            operations,
            catalogue,
            sources,
            builder,
            runtime,
            keys,
            clock,
            ids,
            settings,
            strays: reconcile::strays::Strays::default(),
            ends: reconcile::ends::Ends::default(),
            live: live::Live::default(),
            sizes: volumes::Sizes::default(),
            machine: capacity::Known::default(),
        }
    }

    /// An organization has what was received from now on.
    ///
    /// # Errors
    /// It keeps as much as it may; the store does not answer.
    pub async fn keep_source(&self, org: OrgId, received: &Received) -> Result<(), StoreError> {
        let (digest, limit) = (&received.digest, self.settings.sources_max);
        let added = self.store.add_source(org, digest, received.bytes, received.files, limit, self.clock.now()).await;
        // Nobody has what was refused, and it would use the disk for as long as sources are kept.
        if matches!(added, Err(StoreError::Conflict(Conflict::SourcesFull { .. })))
            && !received.known
            && !self.store.is_source_known(digest).await?
            && let Err(error) = self.sources.remove(digest).await
        {
            tracing::warn!(%error, %digest, "a source that was refused could not be removed; it is swept later");
        }
        added
    }

    /// What a tenant gets that asks for nothing.
    pub fn default_limits(&self) -> Limits {
        self.settings.default_limits
    }

    /// The address of the host at which tenants' ports are published.
    pub fn publish_address(&self) -> IpAddr {
        self.settings.platform.publish_address
    }
}
