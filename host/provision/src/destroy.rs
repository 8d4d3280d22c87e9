//! Accepting a destroy, and the steps that carry it out.

use convergence_access::Caller;
use convergence_model::operation::Operation;
use convergence_model::{EnvId, OperationId, Scope};
use convergence_store::StoreError;

use crate::Provisioner;
use crate::step::{Step, removal};

/// What is done, in order. None can be undone; each can be repeated until it works.
pub(crate) const STEPS: &[&dyn Step] = &[&removal::Container, &removal::Network, &removal::Volumes, &removal::Images];

/// Why a destroy was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DestroyError {
    /// There is no such tenant within reach.
    #[error("there is no such tenant")]
    Absent,
    /// Something else is being done to the tenant, or the store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Provisioner {
    /// Accepts the removal of a tenant and of everything it has. The work itself begins at once, elsewhere.
    ///
    /// # Errors
    /// [`DestroyError`]; nothing was changed.
    pub async fn destroy(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, DestroyError> {
        if self.is_stopping() {
            return Err(DestroyError::Stopping);
        }
        let id = OperationId(self.ids.uuid());
        let operation = self.store.begin_destroy(scope, env_id, id, self.clock.now(), caller.name()).await?;
        self.queued.notify_one();
        operation.ok_or(DestroyError::Absent)
    }
}
