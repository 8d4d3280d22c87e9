//! Takes operations from the queue, one lease each, as many at a time as the operator allows.

use std::sync::Arc;

use convergence_store::Claimed;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Provisioner;
use crate::hold::Hold;
use crate::step::StepError;

impl Provisioner {
    /// Carries out operations until `stop` is cancelled: those that are queued, and those whose worker died.
    ///
    /// What is under way then goes on in `tasks` for [`OperationSettings::drain`](crate::OperationSettings::drain);
    /// what is not done by then is handed over: it finishes the step it is at, unless that may be interrupted, and goes
    /// back into the queue for the next server. Returns when nothing is left or handing over has begun; whoever stops
    /// the server waits for `tasks`, which must be closed.
    pub async fn work(self: Arc<Self>, stop: CancellationToken, tasks: TaskTracker) {
        let settings = self.settings.operations;
        let slots = Arc::new(Semaphore::new(settings.concurrency.max(1)));
        while !stop.is_cancelled() {
            let slot = tokio::select! {
                () = stop.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { break };
            let asked = Instant::now();
            match self.store.claim(&self.settings.worker, settings.lease, self.clock.now()).await {
                Ok(Some(claimed)) => {
                    let provisioner = Arc::clone(&self);
                    let span = tracing::info_span!(
                        "operation", id = %claimed.operation.id, kind = claimed.operation.kind.as_str(),
                        tenant = claimed.operation.env_id.0
                    );
                    let task = async move {
                        provisioner.carry_out(claimed, asked).await;
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
                        () = self.queued.notified() => {}
                        () = tokio::time::sleep(settings.idle) => {}
                    }
                }
            }
        }
        self.stopping.cancel();
        tokio::select! {
            () = tasks.wait() => {}
            () = tokio::time::sleep(settings.drain) => self.handing_over.cancel(),
        }
    }

    async fn carry_out(&self, claimed: Claimed, asked: Instant) {
        let id = claimed.operation.id;
        let taken = self.in_hand.take(id);
        let hold = Hold::new(claimed.lease, self.settings.operations.lease, asked, taken.cancel.clone());
        if claimed.operation.cancel {
            hold.cancel.cancel();
        }
        let outcome = tokio::select! {
            biased;
            () = hold.keep(&self.store) => Err(StepError::LeaseLost),
            outcome = self.go(claimed.operation, claimed.time_left, &hold) => outcome,
        };
        match outcome {
            Ok(()) => {}
            Err(StepError::LeaseLost) => tracing::warn!("another worker has this operation now, or may have it"),
            Err(error) => tracing::warn!(%error, "left for the next attempt, when its lease has run out"),
        }
        drop(taken);
        // Nobody watching is not an error.
        let _ = self.news.send(id);
    }
}
