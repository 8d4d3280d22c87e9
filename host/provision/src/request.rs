//! What can be asked about tenants and operations there are.

use convergence_access::Caller;
use convergence_model::operation::{Input, Operation, OperationKind};
use convergence_model::{EnvId, OperationId, Scope};
use convergence_store::{Conflict, Entry, NewOperation, StoreError};

use crate::{Provisioner, operations};

/// Why a request was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no such tenant or operation within reach.
    #[error("there is no such thing")]
    Absent,
    /// Something else is being done to the tenant, the operation is over, or the store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Provisioner {
    /// Takes an operation back: what it does now is dropped or let finish, and everything a spawn did is undone. Asking
    /// again changes nothing.
    ///
    /// # Errors
    /// [`RequestError`]: among others [`Conflict::Over`] and [`Conflict::NotCancellable`].
    pub async fn cancel(&self, scope: &Scope, caller: &Caller, id: OperationId) -> Result<Operation, RequestError> {
        let operation = self.store.operation(scope, id).await?.ok_or(RequestError::Absent)?;
        if !operation.state.is_final() && !operations::recipe(operation.kind).cancellable {
            let kind = operation.kind.as_str();
            return Err(StoreError::from(Conflict::NotCancellable { kind }).into());
        }
        let asked = self.store.request_cancel(scope, id, caller.name(), self.clock.now()).await?;
        self.in_hand.cancel(id);
        self.queued.notify_one();
        asked.ok_or(RequestError::Absent)
    }

    /// Tries an operation again that is stuck, or that failed and left its tenant: it goes on the way it was going.
    ///
    /// # Errors
    /// [`RequestError`]: among others [`Conflict::NotRetryable`].
    pub async fn retry(&self, scope: &Scope, caller: &Caller, id: OperationId) -> Result<Operation, RequestError> {
        if self.is_stopping() {
            return Err(RequestError::Stopping);
        }
        let patience = self.settings.operations.patience;
        let asked = self.store.request_retry(scope, id, patience, caller.name(), self.clock.now()).await?;
        self.queued.notify_one();
        asked.ok_or(RequestError::Absent)
    }

    /// Accepts an operation on a tenant there is.
    pub(crate) async fn request(
        &self,
        scope: &Scope,
        env_id: EnvId,
        kind: OperationKind,
        input: Input,
        actor: &str,
        entry: Entry,
    ) -> Result<Operation, RequestError> {
        if self.is_stopping() {
            return Err(RequestError::Stopping);
        }
        let begun = self.store.begin(scope, env_id, &self.new_operation(kind, input, actor), entry).await?;
        self.queued.notify_one();
        begun.ok_or(RequestError::Absent)
    }

    pub(crate) fn new_operation(&self, kind: OperationKind, input: Input, actor: &str) -> NewOperation {
        NewOperation {
            id: OperationId(self.ids.uuid()),
            kind,
            input,
            actor: actor.to_owned(),
            patience: self.settings.operations.patience,
            idempotency: None,
            now: self.clock.now(),
        }
    }
}
