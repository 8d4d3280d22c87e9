//! Takes operations, one lease each, and carries them out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convergence_model::Scope;
use convergence_model::operation::{EventKind, Failure, Operation, OperationKind};
use convergence_store::{Claimed, Lease, StoreError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::failure::explain;
use crate::step::{Step, StepError};
use crate::work::Work;
use crate::{Provisioner, operations};

/// How long a worker that is not heard of keeps an operation.
const LEASE: Duration = Duration::from_secs(15);
/// How often a lease is renewed; thrice within its length.
const RENEWAL: Duration = Duration::from_secs(5);
/// How often an operation is begun before it is given up: a worker that dies, or an engine or a database that does not
/// answer, costs one attempt.
const ATTEMPTS: i64 = 10;
/// How often the queue is looked at when nothing was said to be in it: leases of dead workers run out silently.
const IDLE: Duration = Duration::from_secs(1);

impl Provisioner {
    /// Carries out operations until `stop` is cancelled: those that are queued, and those whose worker died.
    /// What is under way then goes on in `tasks`, which whoever stops the server waits for.
    pub async fn work(self: Arc<Self>, stop: CancellationToken, tasks: TaskTracker) {
        let slots = Arc::new(Semaphore::new(self.settings.concurrency.max(1)));
        while !stop.is_cancelled() {
            let slot = tokio::select! {
                () = stop.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { break };
            match self.store.claim(&self.settings.worker, LEASE, self.clock.now()).await {
                Ok(Some(claimed)) => {
                    let provisioner = Arc::clone(&self);
                    let span = tracing::info_span!(
                        "operation", id = %claimed.operation.id, kind = claimed.operation.kind.as_str(),
                        tenant = claimed.operation.env_id.0
                    );
                    let task = async move {
                        provisioner.carry_out(claimed).await;
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
                        () = tokio::time::sleep(IDLE) => {}
                    }
                }
            }
        }
        self.stopping.cancel();
    }

    async fn carry_out(&self, claimed: Claimed) {
        let Claimed { operation, lease } = claimed;
        let id = operation.id;
        let outcome = tokio::select! {
            outcome = self.execute(operation, lease) => outcome,
            () = self.lose(&lease) => Err(StepError::LeaseLost),
        };
        match outcome {
            Ok(()) => tracing::info!("done"),
            Err(StepError::LeaseLost) => tracing::warn!("another worker has this operation now"),
            Err(error) => tracing::warn!(%error, "left for the next attempt, when its lease has run out"),
        }
        let _ = self.news.send(id);
    }

    /// Renews a lease; returns when it is lost, or when it has run out because the store does not answer: then
    /// somebody else may have it, and two must not drive one engine.
    async fn lose(&self, lease: &Lease) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < LEASE {
            tokio::time::sleep(RENEWAL).await;
            let asked = Instant::now();
            match self.store.renew(lease, LEASE).await {
                Ok(true) => renewed = asked,
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "cannot renew the lease; trying again"),
            }
        }
    }

    /// An error of this function means that nothing could be recorded; everything else is recorded.
    async fn execute(&self, operation: Operation, lease: Lease) -> Result<(), StepError> {
        let scope = Scope::platform();
        if lease.epoch > ATTEMPTS {
            return self.give_up(&operation, lease).await;
        }
        let tenant = self.store.tenant(&scope, operation.env_id).await?.ok_or(StepError::Gone)?;
        let revision = self.store.latest_revision(&scope, tenant.id).await?.ok_or(StepError::Gone)?;
        let kind = operation.kind;
        let work = Work { provisioner: self, lease, operation, tenant, revision };
        match self.advance(&work, operations::steps(kind)).await? {
            None => self.finish(&work).await,
            Some(failure) => self.fail(&work, failure).await,
        }
    }

    /// Does the steps in order; answers the failure of the one that failed.
    async fn advance(&self, work: &Work<'_>, steps: &[&dyn Step]) -> Result<Option<(usize, Failure)>, StepError> {
        if let Some(first) = steps.first() {
            work.record(first.name(), EventKind::Started, "").await?;
        }
        for (index, step) in steps.iter().enumerate() {
            match (step.act(work).await, steps.get(index + 1)) {
                (Ok(()), Some(next)) => self.record_next_step(work, *step, *next).await?,
                (Ok(()), None) => work.record(step.name(), EventKind::Done, "").await?,
                (Err(StepError::LeaseLost), _) => return Err(StepError::LeaseLost),
                // Not a failure: nobody knows whether it happened. The lease runs out, and every step can be repeated.
                (Err(error), _) if error.is_passing() && work.lease.epoch < ATTEMPTS => return Err(error),
                (Err(error), _) => {
                    let failure = explain(step.name(), &error);
                    tracing::warn!(step = step.name(), %error, "a step failed");
                    work.record(step.name(), EventKind::Failed, &failure.message).await?;
                    return Ok(Some((index, failure)));
                }
            }
        }
        Ok(None)
    }

    async fn record_next_step(&self, work: &Work<'_>, done: &dyn Step, next: &dyn Step) -> Result<(), StepError> {
        self.store.record_next_step(&work.lease, done.name(), next.name(), self.clock.now()).await?;
        let _ = self.news.send(work.operation.id);
        Ok(())
    }

    /// Ends an operation that was begun again and again and never got anywhere, so that the tenant can be destroyed
    /// and whatever is wrong with it (an unreadable row, a crash of the server itself) does not come back for ever.
    async fn give_up(&self, operation: &Operation, lease: Lease) -> Result<(), StepError> {
        tracing::error!(attempts = ATTEMPTS, "given up; an operator has to look");
        let failure = crate::failure::gave_up(ATTEMPTS);
        let now = self.clock.now();
        match operation.kind {
            OperationKind::Spawn => self.store.fail_spawn(&lease, &failure, false, now).await?,
            OperationKind::Destroy => self.store.fail_destroy(&lease, &failure, now).await?,
        }
        Ok(())
    }

    async fn finish(&self, work: &Work<'_>) -> Result<(), StepError> {
        let now = self.clock.now();
        match work.operation.kind {
            OperationKind::Spawn => self.store.finish_spawn(&work.lease, now).await?,
            OperationKind::Destroy => self.store.finish_destroy(&work.lease, now).await?,
        }
        Ok(())
    }

    /// Undoes a spawn from the step that failed backwards (it may have done half of its work); a destroy
    /// stays where it is, to be asked for again.
    async fn fail(&self, work: &Work<'_>, (failed, failure): (usize, Failure)) -> Result<(), StepError> {
        let undoable = match work.operation.kind {
            OperationKind::Spawn => operations::steps(OperationKind::Spawn),
            OperationKind::Destroy => &[],
        };
        let mut undone = true;
        for step in undoable.iter().take(failed + 1).rev() {
            match step.undo(work).await {
                Ok(()) => work.record(step.name(), EventKind::Undone, "").await?,
                Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                Err(error) => {
                    undone = false;
                    tracing::error!(step = step.name(), %error, "a step could not be undone");
                    work.record(step.name(), EventKind::UndoFailed, &error.to_string()).await?;
                }
            }
        }
        let now = self.clock.now();
        match work.operation.kind {
            OperationKind::Spawn => self.store.fail_spawn(&work.lease, &failure, undone, now).await?,
            OperationKind::Destroy => self.store.fail_destroy(&work.lease, &failure, now).await?,
        }
        Ok(())
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { .. } => Self::LeaseLost,
            other => Self::Store(other),
        }
    }
}
