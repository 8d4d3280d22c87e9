//! How an operation on a tenant there is comes to be.

use convergence_model::operation::Operation;
use convergence_model::{EnvId, Scope};
use convergence_runtime::RuntimeError;
use convergence_store::{Entry, StoreError};
use convergence_work::{Kind, RequestError};
use serde::Serialize;

use crate::{PlanError, Provisioner};

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
        entry: Entry,
    ) -> Result<Operation, RequestError> {
        if self.operations.is_stopping() {
            return Err(RequestError::Stopping);
        }
        let new = self.operations.new_operation(kind, asked(input), actor);
        let begun = self.store.begin(scope, env_id, &new, entry).await?;
        self.operations.queued(kind.lane);
        begun.ok_or(RequestError::Absent)
    }
}

/// What an operation is asked, in its own form. Plain structs of this house always have one in JSON.
pub(crate) fn asked(input: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(input).unwrap_or_default()
}
