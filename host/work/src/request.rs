//! What can be asked about operations: to begin one, to cancel it, to retry it, to tell it something.

use convergence_model::operation::{Operation, Subject};
use convergence_model::{OperationId, OrgId, Scope};
use convergence_store::{Conflict, Idempotency, NewOperation, Signal, StoreError};
use serde_json::Value;

use crate::{Kind, Operations};

/// Why a request was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no such tenant or operation within reach.
    #[error("there is no such thing")]
    Absent,
    /// Something else is being done to the subject, the operation is over, or the store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Operations {
    /// An operation to be, for a transaction of another room that begins it.
    pub fn new_operation(&self, kind: &'static Kind, input: Value, actor: &str) -> NewOperation {
        NewOperation {
            id: OperationId(self.ids.uuid()),
            kind: kind.name,
            lane: kind.lane,
            exclusive: kind.exclusive,
            yields: kind.yields,
            input,
            actor: actor.to_owned(),
            patience: self.settings.patience,
            idempotency: None,
            now: self.clock.now(),
        }
    }

    /// Accepts an operation that changes nothing but its own row until it is carried out. With an idempotency key, what was begun before with the same key is answered again.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn begin(
        &self,
        org: OrgId,
        subject: &Subject,
        kind: &'static Kind,
        input: Value,
        actor: &str,
        idempotency: Option<Idempotency>,
    ) -> Result<Operation, RequestError> {
        if self.is_stopping() {
            return Err(RequestError::Stopping);
        }
        let new = NewOperation { idempotency, ..self.new_operation(kind, input, actor) };
        match self.store.begin_on(org, subject, &new, kind.asked_action).await {
            Err(StoreError::Conflict(Conflict::AlreadyBegun { operation })) => {
                let begun = self.store.operation(&Scope::platform(), operation).await?;
                begun.ok_or(RequestError::Absent)
            }
            begun => {
                self.queued(kind.lane);
                Ok(begun?)
            }
        }
    }

    /// Cancels an operation: what it does now is dropped or let finish, and everything it did is undone where it can be.
    /// Asking again changes nothing.
    ///
    /// # Errors
    /// [`RequestError`]: among others [`Conflict::Over`] and [`Conflict::NotCancellable`].
    pub async fn cancel(&self, scope: &Scope, actor: &str, id: OperationId) -> Result<Operation, RequestError> {
        let operation = self.store.operation(scope, id).await?.ok_or(RequestError::Absent)?;
        // A kind that this program does not have is nothing that it can say this of.
        if !operation.state.is_final() && self.kinds.get(operation.kind.as_str()).is_none_or(|kind| !kind.cancellable) {
            return Err(StoreError::from(Conflict::NotCancellable { kind: operation.kind }).into());
        }
        let asked = self.store.request_cancel(scope, id, actor, self.clock.now()).await?;
        self.holds.cancel(id);
        self.queued.values().for_each(tokio::sync::Notify::notify_one);
        asked.ok_or(RequestError::Absent)
    }

    /// Tries an operation again that is stuck, or that failed and left its subject: it continues the way it was going.
    ///
    /// # Errors
    /// [`RequestError`]: among others [`Conflict::NotRetryable`].
    pub async fn retry(&self, scope: &Scope, actor: &str, id: OperationId) -> Result<Operation, RequestError> {
        if self.is_stopping() {
            return Err(RequestError::Stopping);
        }
        let asked = self.store.request_retry(scope, id, self.settings.patience, actor, self.clock.now()).await?;
        self.queued.values().for_each(tokio::sync::Notify::notify_one);
        asked.ok_or(RequestError::Absent)
    }

    /// Tells an operation something; one that waits for it continues. False where it was told before, with the same key.
    ///
    /// # Errors
    /// [`RequestError`]: among others [`Conflict::Over`] and [`Conflict::NoOperation`].
    pub async fn signal(&self, scope: &Scope, id: OperationId, signal: &Signal) -> Result<bool, RequestError> {
        let told = self.store.signal(scope, id, signal, self.clock.now()).await?;
        self.queued.values().for_each(tokio::sync::Notify::notify_one);
        Ok(told)
    }
}
