//! How an operation on a tenant there is comes to be.

use convergence_access::Caller;
use convergence_model::operation::Operation;
use convergence_model::{EnvId, OperationId, Scope};
use convergence_runtime::RuntimeError;
use convergence_store::{Conflict, Entry, StoreError};
use convergence_work::{Kind, RequestError};
use serde::Serialize;
use tokio::time::Instant;

use crate::{PlanError, Provisioner, recipe};

/// Why what needs a plan was not accepted: a spawn, or a deployment. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine does not answer.
    #[error(transparent)]
    Engine(RuntimeError),
    /// The store refuses: the name is taken, no port is free, …
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Provisioner {
    /// Accepts an operation on a tenant there is.
    pub(crate) async fn request(
        &self,
        scope: &Scope,
        env_id: EnvId,
        kind: &'static Kind,
        input: &(impl Serialize + Sync),
        actor: &str,
        entry: Entry<'_>,
    ) -> Result<Operation, RequestError> {
        if self.operations.is_stopping() {
            return Err(RequestError::Stopping);
        }
        let new = self.operations.new_operation(kind, asked(input), actor);
        let begun = self.store.begin(scope, env_id, &new, entry).await?;
        self.operations.queued(kind.lane);
        begun.ok_or(RequestError::Absent)
    }

    /// The same, after what yields and is under way was stopped, which takes as long as the step it is at; when its server has
    /// died, as long as its lease.
    pub(crate) async fn request_yielded(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        kind: &'static Kind,
        input: &(impl Serialize + Sync),
        entry: Entry<'_>,
    ) -> Result<Operation, RequestError> {
        let deadline = Instant::now() + self.operations.settings().lease * 2;
        loop {
            let begun = self.request(scope, env_id, kind, input, caller.name(), entry).await;
            let Err(RequestError::Store(StoreError::Conflict(Conflict::SubjectBusy { operation }))) = &begun else {
                return begun;
            };
            if !self.gives_way(scope, caller, *operation, deadline).await? {
                return begun;
            }
        }
    }

    /// Stops an operation that need not be waited for. False where it is none of those, or does not end in time.
    async fn gives_way(
        &self,
        scope: &Scope,
        caller: &Caller,
        id: OperationId,
        deadline: Instant,
    ) -> Result<bool, RequestError> {
        let Some(busy) = self.store.operation(scope, id).await? else { return Ok(true) };
        if !recipe::kinds().any(|kind| kind.name == busy.kind && kind.yields) {
            return Ok(false);
        }
        match self.operations.cancel(scope, caller.name(), id).await {
            Ok(_) | Err(RequestError::Absent | RequestError::Store(StoreError::Conflict(Conflict::Over { .. }))) => {}
            Err(error) => return Err(error),
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        Ok(self.operations.outcome(id, patience).await?.state.is_final() && !patience.is_zero())
    }

    /// How often a tenant's app ended says nothing any more: somebody has looked after it.
    pub(crate) async fn forgive(&self, scope: &Scope, env_id: EnvId) -> Result<(), StoreError> {
        if let Some(tenant) = self.store.tenant(scope, env_id).await? {
            self.store.forgive_crashes(tenant.id).await?;
        }
        Ok(())
    }
}

/// What an operation is asked, in its own form. Plain structs of this house always have one in JSON.
pub(crate) fn asked(input: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(input).unwrap_or_default()
}
