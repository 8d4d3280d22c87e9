//! Leases in the hands of this process: renewed together while work goes on, and never trusted for longer than they were
//! given.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convergence_model::OperationId;
use convergence_model::operation::EventKind;
use convergence_store::{Lease, NewEvent, Renewed};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Operations;
use crate::error::StepError;

/// An operation in the hands of this process.
#[derive(Debug)]
pub struct Hold {
    lease: Lease,
    /// Until when nobody else can have taken the operation, on this machine's own clock.
    until: Mutex<Instant>,
    /// Another worker has it.
    lost: CancellationToken,
    /// Somebody wants the operation cancelled.
    cancel: CancellationToken,
}

impl Hold {
    /// Of a lease that was asked for at `asked`: what the database gave began later than that.
    fn new(lease: Lease, length: Duration, asked: Instant) -> Self {
        let until = Mutex::new(asked + length);
        Self { lease, until, lost: CancellationToken::new(), cancel: CancellationToken::new() }
    }

    /// What every write about the operation carries.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Cancelled once somebody wants the operation cancelled.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Nothing, while nobody else can have taken the operation. A process that was stopped for longer than its lease
    /// finds out here, before it does the next thing to the world outside.
    ///
    /// # Errors
    /// [`StepError::LeaseLost`].
    pub fn check(&self) -> Result<(), StepError> {
        let held = !self.lost.is_cancelled() && Instant::now() < *locked(&self.until);
        if held { Ok(()) } else { Err(StepError::LeaseLost) }
    }

    /// Returns when the lease is lost, or has run out because the store does not answer: then somebody else may have the
    /// operation, and two must not do its steps.
    pub(crate) async fn lost(&self) {
        while self.check().is_ok() {
            let until = *locked(&self.until);
            tokio::select! {
                () = self.lost.cancelled() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

/// Everything this process works on.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    all: Mutex<HashMap<OperationId, Arc<Hold>>>,
    /// One of them was let go.
    let_go: Notify,
}

/// One of them, for as long as this is kept.
pub(crate) struct Taken<'a> {
    holds: &'a Holds,
    pub(crate) hold: Arc<Hold>,
}

impl Holds {
    pub(crate) fn take(&self, lease: Lease, length: Duration, asked: Instant) -> Taken<'_> {
        let hold = Arc::new(Hold::new(lease, length, asked));
        locked(&self.all).insert(lease.operation, Arc::clone(&hold));
        Taken { holds: self, hold }
    }

    /// Tells the worker, if it is in this process. Another one learns of it when it renews its leases.
    pub(crate) fn cancel(&self, operation: OperationId) {
        if let Some(hold) = locked(&self.all).get(&operation) {
            hold.cancel.cancel();
        }
    }

    fn leases(&self) -> Vec<Arc<Hold>> {
        locked(&self.all).values().cloned().collect()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut all = locked(&self.holds.all);
        // Taken again meanwhile, by a lane that was quicker than this: then it is that one's.
        if all.get(&self.hold.lease.operation).is_some_and(|hold| hold.lease == self.hold.lease) {
            all.remove(&self.hold.lease.operation);
        }
        drop(all);
        self.holds.let_go.notify_one();
    }
}

impl Operations {
    /// Renews everything that this process holds, three times within a lease and in one statement, until the server stops
    /// and nothing is held any more.
    pub(crate) async fn keep_leases(&self) {
        let every = self.settings.lease / 3;
        let mut next = Instant::now() + every;
        loop {
            let held = self.holds.leases();
            if held.is_empty() && self.stopping.is_cancelled() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = self.holds.let_go.notified() => continue,
                () = self.stopping.cancelled(), if !self.stopping.is_cancelled() => continue,
            }
            next = Instant::now() + every;
            let held = self.holds.leases();
            if !held.is_empty() {
                self.renew(&held, every).await;
            }
        }
    }

    async fn renew(&self, held: &[Arc<Hold>], limit: Duration) {
        let leases: Vec<Lease> = held.iter().map(|hold| hold.lease).collect();
        let asked = Instant::now();
        // What takes longer is asked again; each lease knows by itself when it has run out.
        let renewing = self.store.renew(&self.settings.worker, &leases, self.settings.lease);
        let renewed = match tokio::time::timeout(limit, renewing).await {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(error)) => return tracing::warn!(%error, "cannot renew leases; trying again"),
            Err(_elapsed) => return tracing::warn!("cannot renew leases: the database does not answer; trying again"),
        };
        let renewed: HashMap<Lease, bool> =
            renewed.into_iter().map(|Renewed { lease, cancel }| (lease, cancel)).collect();
        for hold in held {
            match renewed.get(&hold.lease) {
                Some(cancel) => {
                    *locked(&hold.until) = asked + self.settings.lease;
                    if *cancel {
                        hold.cancel.cancel();
                    }
                }
                None => hold.lost.cancel(),
            }
        }
    }

    /// Appends to the history of an operation and tells everybody who watches.
    ///
    /// # Errors
    /// [`StepError::LeaseLost`]; the store does not answer.
    pub async fn record(&self, hold: &Hold, step: &str, event: EventKind, detail: &str) -> Result<(), StepError> {
        self.record_all(hold, &[NewEvent { step, event, detail }]).await
    }

    /// Appends several entries to the history of an operation, in one transaction.
    ///
    /// # Errors
    /// [`StepError::LeaseLost`]; the store does not answer.
    pub async fn record_all(&self, hold: &Hold, events: &[NewEvent<'_>]) -> Result<(), StepError> {
        self.store.record_events(&hold.lease, events, self.clock.now()).await?;
        self.tell(hold.lease.operation);
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
