//! The operations this process works on, so that somebody can reach into one of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use convergence_model::OperationId;
use tokio_util::sync::CancellationToken;

/// The operations this process works on.
#[derive(Debug, Default)]
pub(crate) struct InHand(Mutex<HashMap<OperationId, CancellationToken>>);

/// One of them, for as long as this is kept.
pub(crate) struct Taken<'a> {
    all: &'a InHand,
    id: OperationId,
    pub(crate) cancel: CancellationToken,
}

impl InHand {
    pub(crate) fn take(&self, id: OperationId) -> Taken<'_> {
        let cancel = CancellationToken::new();
        self.all().insert(id, cancel.clone());
        Taken { all: self, id, cancel }
    }

    /// Tells whoever works on it, if that is this process. Another one learns of it when it renews its lease.
    pub(crate) fn cancel(&self, id: OperationId) {
        if let Some(token) = self.all().get(&id) {
            token.cancel();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<OperationId, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.all.all().remove(&self.id);
    }
}
