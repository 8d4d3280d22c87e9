//! A lease in the hands of this process: renewed while work goes on, and never trusted for longer than it was given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use convergence_store::{Lease, Renewed, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::step::StepError;

/// A lease in the hands of this process.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) lease: Lease,
    length: Duration,
    /// Until when nobody else can have taken the operation, on this machine's own clock.
    until: Mutex<Instant>,
    /// Somebody wants the operation taken back.
    pub(crate) cancel: CancellationToken,
}

impl Hold {
    /// Of a lease that was asked for at `asked`: what the database gave began later than that.
    pub(crate) fn new(lease: Lease, length: Duration, asked: Instant, cancel: CancellationToken) -> Self {
        Self { lease, length, until: Mutex::new(asked + length), cancel }
    }

    /// Nothing, while nobody else can have taken the operation. A process that was stopped for longer than its lease
    /// finds out here, before it does the next thing to the engine.
    pub(crate) fn check(&self) -> Result<(), StepError> {
        if Instant::now() < *self.until() { Ok(()) } else { Err(StepError::LeaseLost) }
    }

    /// Renews the lease, thrice within its length; returns when it is lost, or when it has run out because the store
    /// does not answer: then somebody else may have it, and two must not drive one engine.
    pub(crate) async fn keep(&self, store: &Store) {
        while self.check().is_ok() {
            tokio::time::sleep(self.length / 3).await;
            let asked = Instant::now();
            match store.renew(&self.lease, self.length).await {
                Ok(Renewed::Held { cancel }) => {
                    *self.until() = asked + self.length;
                    if cancel {
                        self.cancel.cancel();
                    }
                }
                Ok(Renewed::Lost) => return,
                Err(error) => tracing::warn!(%error, "cannot renew the lease; trying again"),
            }
        }
    }

    fn until(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
