//! Takes operations from the queue, one lease each: of each lane as many at a time as the operator allows, of each lane's
//! organizations in turn.

use std::sync::Arc;
use std::time::Duration;

use convergence_model::OrgId;
use convergence_model::operation::{EventKind, Lane};
use convergence_store::{Claimed, NewEvent, Wanted};
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::error::{Class, StepError};
use crate::hold::Hold;
use crate::kind::Registry;
use crate::{Operations, retry};

/// The pause between attempts to write down what happened, while the store does not answer.
const STORE_PAUSE: Duration = Duration::from_millis(250);

impl Operations {
    /// Carries out operations of the registered kinds until `stop` is cancelled: those that are queued, those whose time
    /// has come, and those whose worker died.
    ///
    /// What is under way then continues in `tasks` for [`WorkSettings::drain`](crate::WorkSettings::drain); what is not done
    /// by then is handed over: it finishes the step it is at, unless that may be interrupted, and goes back into the queue
    /// for the next server. Returns when nothing is left or handing over has begun; the caller waits for
    /// `tasks`, which must be closed.
    pub async fn work(self: Arc<Self>, registry: Registry, stop: CancellationToken, tasks: TaskTracker) {
        let registry = Arc::new(registry);
        tasks.spawn({
            let operations = Arc::clone(&self);
            async move { operations.keep_leases().await }
        });
        let lanes = Lane::ALL.into_iter().map(|lane| self.work_lane(lane, &registry, &stop, &tasks));
        tokio::join!(join_all(lanes), self.wake(&stop), self.keep_schedules(registry.schedules(), &stop));
        self.stopping.cancel();
        tokio::select! {
            () = tasks.wait() => {}
            () = tokio::time::sleep(self.settings.drain) => self.handing_over.cancel(),
        }
    }

    async fn work_lane(
        self: &Arc<Self>,
        lane: Lane,
        registry: &Arc<Registry>,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) {
        let (kinds, Some(queued)) = (registry.known(lane), self.queued.get(&lane)) else { return };
        if kinds.is_empty() {
            return;
        }
        let slots = Arc::new(Semaphore::new(self.settings.slots(lane)));
        let mut after = OrgId(i64::MIN);
        while !stop.is_cancelled() {
            let slot = tokio::select! {
                () = stop.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { break };
            let asked = Instant::now();
            let (worker, lease) = (self.settings.worker.as_str(), self.settings.lease);
            let wanted = Wanted { worker, lease, lane, kinds: &kinds, after, only: None };
            match self.store.claim(wanted, self.clock.now()).await {
                Ok(Some(claimed)) => {
                    after = claimed.operation.org;
                    let span = tracing::info_span!(
                        "operation", id = %claimed.operation.id, kind = claimed.operation.kind,
                        subject = %claimed.operation.subject
                    );
                    let (operations, registry) = (Arc::clone(self), Arc::clone(registry));
                    let task = async move {
                        operations.carry_out(&registry, claimed, asked).await;
                        drop(slot);
                    };
                    tasks.spawn(task.instrument(span));
                }
                outcome => {
                    if let Err(error) = outcome {
                        tracing::warn!(%error, "cannot look for operations; trying again");
                    }
                    drop(slot);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = queued.notified() => {}
                        () = tokio::time::sleep(self.settings.idle) => {}
                    }
                }
            }
        }
    }

    async fn carry_out(&self, registry: &Registry, claimed: Claimed, asked: Instant) {
        let id = claimed.operation.id;
        let taken = self.holds.take(claimed.lease, self.settings.lease, asked);
        if claimed.operation.cancel {
            taken.hold.cancel().cancel();
        }
        let outcome = tokio::select! {
            biased;
            () = taken.hold.lost() => Err(StepError::LeaseLost),
            outcome = self.carry(registry, &claimed, &taken.hold) => outcome,
        };
        match outcome {
            Ok(()) => {}
            Err(StepError::LeaseLost) => tracing::warn!("another worker has this operation now, or may have it"),
            Err(error) => tracing::warn!(%error, "left for the next attempt, when its lease has run out"),
        }
        drop(taken);
        self.tell(id);
    }

    /// Carries an operation as far as it gets. An error means that nothing could be recorded; everything else is.
    async fn carry(&self, registry: &Registry, claimed: &Claimed, hold: &Hold) -> Result<(), StepError> {
        let Claimed { operation, time_left, .. } = claimed;
        // Only kinds that are registered are asked for.
        let Some(carrier) = registry.carrier(&operation.kind) else { return Ok(()) };
        match carrier.carry(self, operation, *time_left, hold).await {
            Err(error) if error.class() == Class::Away => self.put_back_when_possible(claimed, hold, error).await,
            outcome => outcome,
        }
    }

    /// The store does not answer. Everything can be repeated, so the operation goes back into the queue, once that can be
    /// written down; if it cannot be for as long as the lease, the lease runs out to the same effect.
    async fn put_back_when_possible(
        &self,
        claimed: &Claimed,
        hold: &Hold,
        mut error: StepError,
    ) -> Result<(), StepError> {
        let pause = retry::pause(self.settings.pause, claimed.operation.retries, claimed.operation.id.0.as_u128());
        loop {
            tokio::time::sleep(STORE_PAUSE).await;
            hold.check()?;
            let why = error.to_string();
            let event = NewEvent { step: "store", event: EventKind::Waiting, detail: &why };
            let put_back = self.store.put_back(hold.lease(), pause, None, event, self.clock.now()).await;
            match put_back.map_err(StepError::from) {
                Err(again) if again.class() == Class::Away => error = again,
                put_back => return put_back,
            }
        }
    }

    /// Puts operations whose time has come back into the queue.
    async fn wake(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let mut pause = self.settings.idle;
            match self.store.wake().await {
                Ok(woken) => {
                    if woken.woken > 0 {
                        self.queued.values().for_each(tokio::sync::Notify::notify_one);
                    }
                    pause = woken.next.map_or(pause, |next| next.min(pause));
                }
                Err(error) => tracing::warn!(%error, "cannot wake operations whose time has come; trying again"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.suspended.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
