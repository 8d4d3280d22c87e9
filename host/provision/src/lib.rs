//! What can be done to a tenant, and the engine that does it.
//!
//! Every change to a tenant is an *operation*: accepted in one transaction (after that it cannot be lost), then
//! done by [`Provisioner::work`] step by step, each step recorded before and after, each safe to repeat. A step
//! that fails for good is undone together with those before it; what may pass is waited for. Each kind of operation has
//! one file with its recipe (`spawn.rs`, `destroy.rs`, …) and a line in `operations.rs`.
//!
//! This room asks plugins for plans before the transaction and never afterwards: what they answered is stored
//! in the revision. It never holds a transaction open while it calls a plugin or an engine.

mod course;
mod destroy;
mod failure;
mod halt;
mod hold;
mod in_hand;
mod operations;
mod planning;
mod reconcile;
mod repair;
mod request;
mod retry;
mod settings;
mod spawn;
mod step;
mod sweep;
mod view;
mod watch;
mod work;
mod worker;

use std::sync::{Arc, Mutex};

use convergence_access::KeyRing;
use convergence_model::ids::{Clock, Ids};
use convergence_model::{Limits, OperationId};
use convergence_plugin::Catalogue;
use convergence_runtime::Runtime;
use convergence_store::Store;
use in_hand::InHand;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

pub use operations::steps;
pub use planning::{PlanError, Planned, Preview};
pub use reconcile::{ReconcileSettings, Stray};
pub use request::RequestError;
pub use settings::{OperationSettings, Settings};
pub use spawn::{Accepted, SpawnError};
pub use view::Report;
pub use watch::News;

/// Operations whose news a slow watcher may fall behind before it looks everything up again.
const NEWS_BACKLOG: usize = 1024;

/// Does things to tenants. Shared; everything in it is.
#[derive(Debug)]
pub struct Provisioner {
    store: Arc<Store>,
    catalogue: Arc<Catalogue>,
    runtime: Arc<dyn Runtime>,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    settings: Settings,
    /// What belongs to nobody, as it was last seen.
    strays: Mutex<Vec<Stray>>,
    /// Something was queued.
    queued: Notify,
    /// Something happened to this operation.
    news: broadcast::Sender<OperationId>,
    /// What this process works on.
    in_hand: InHand,
    /// Nothing is claimed any more.
    stopping: CancellationToken,
    /// What is under way goes back into the queue at the next chance.
    handing_over: CancellationToken,
}

impl Provisioner {
    /// Joins the rooms this one works with. Nothing is done until [`Provisioner::work`] runs.
    pub fn new(
        store: Arc<Store>,
        catalogue: Arc<Catalogue>,
        runtime: Arc<dyn Runtime>,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: Settings,
    ) -> Self {
        let (news, _) = broadcast::channel(NEWS_BACKLOG);
        Self {
            store,
            catalogue,
            runtime,
            keys,
            clock,
            ids,
            settings,
            strays: Mutex::default(),
            queued: Notify::new(),
            news,
            in_hand: InHand::default(),
            stopping: CancellationToken::new(),
            handing_over: CancellationToken::new(),
        }
    }

    /// What a tenant gets that asks for nothing.
    pub fn default_limits(&self) -> Limits {
        self.settings.default_limits
    }

    /// How many operations may wait or be under way.
    pub fn backlog_max(&self) -> u32 {
        self.settings.operations.backlog_max
    }

    fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }
}
