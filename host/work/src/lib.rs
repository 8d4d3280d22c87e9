//! Durable work.
//!
//! An *operation* is accepted in one transaction, after which it cannot be lost, and carried out by [`Operations::work`] under
//! a lease: each step recorded before and after, each safe to repeat. What may pass is waited for; what fails for good is
//! undone. What an operation does is its *kind*, which a room registers: a [`Sequence`] is a list of steps that can be
//! undone, a [`Loop`] decides its next step from a checkpoint and may wait for a time or a signal without holding a worker.
//!
//! This room knows no tenant, no container engine, no model and no route: it needs `model` and `store` alone. It never holds
//! a transaction open while a step runs, and never starts a task of its own: the caller brings the tracker.

mod attempt;
mod error;
mod everything;
mod hold;
mod kind;
mod looping;
mod request;
mod retry;
mod schedule;
mod sequence;
mod settings;
mod watch;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

use convergence_model::OperationId;
use convergence_model::ids::{Clock, Ids};
use convergence_model::operation::Lane;
use convergence_store::Store;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

pub use convergence_store::{Effect, Signal, SignalKey};
pub use error::{Class, StepError, StepFailure};
pub use hold::Hold;
pub use kind::{Done, Failing, Kind, Registry};
pub use looping::{Came, End, Inbox, Loop, LoopStep, Next, Recovery, Turn, Wait};
pub use request::RequestError;
pub use schedule::{Cadence, Schedule};
pub use sequence::{Run, Sequence, StepInfo};
pub use settings::WorkSettings;
pub use watch::News;

use hold::Holds;

/// Operations whose news a slow watcher may fall behind before it looks everything up again.
const NEWS_BACKLOG: usize = 1024;

/// Accepts operations, carries them out, and tells of them. Shared.
#[derive(Debug)]
pub struct Operations {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    settings: WorkSettings,
    /// Every kind this program has, by its name.
    kinds: BTreeMap<&'static str, &'static Kind>,
    /// What this process works on.
    holds: Holds,
    /// Something was queued in a lane.
    queued: BTreeMap<Lane, Notify>,
    /// An operation began to wait for a time.
    suspended: Notify,
    /// Something happened to this operation.
    news: broadcast::Sender<OperationId>,
    /// Nothing is claimed any more.
    stopping: CancellationToken,
    /// What is under way goes back into the queue at the next chance.
    handing_over: CancellationToken,
}

impl Operations {
    /// Operations of these kinds. Nothing is done until [`Operations::work`] runs.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        settings: WorkSettings,
        kinds: impl IntoIterator<Item = &'static Kind>,
    ) -> Self {
        let (news, _) = broadcast::channel(NEWS_BACKLOG);
        Self {
            store,
            clock,
            ids,
            settings,
            kinds: kinds.into_iter().map(|kind| (kind.name, kind)).collect(),
            holds: Holds::default(),
            queued: Lane::ALL.map(|lane| (lane, Notify::new())).into_iter().collect(),
            suspended: Notify::new(),
            news,
            stopping: CancellationToken::new(),
            handing_over: CancellationToken::new(),
        }
    }

    /// How operations are carried out.
    pub fn settings(&self) -> &WorkSettings {
        &self.settings
    }

    /// Every kind this program has, with the newest version of its checkpoint that it can read.
    pub fn known(&self) -> BTreeMap<&'static str, u32> {
        self.kinds.iter().map(|(name, kind)| (*name, kind.checkpoint)).collect()
    }

    /// Whether the server stops: nothing is accepted any more.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Says that something was queued, by another room's transaction.
    pub fn queued(&self, lane: Lane) {
        if let Some(queued) = self.queued.get(&lane) {
            queued.notify_one();
        }
    }

    /// Says that something happened to an operation. Nobody watching is not an error.
    fn tell(&self, operation: OperationId) {
        let _ = self.news.send(operation);
    }
}
