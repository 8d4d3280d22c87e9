//! Accepting a destroy, and the steps that carry it out.

use convergence_access::Caller;
use convergence_model::operation::{Input, Operation, OperationKind, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, OperationId, Scope};
use convergence_store::{Conflict, Entry, Fate, StoreError};
use tokio::time::Instant;

use crate::operations::{Failing, Recipe};
use crate::step::removal;
use crate::{Provisioner, RequestError};

/// None of the steps can be undone; each can be repeated until it works.
pub(crate) const RECIPE: Recipe = Recipe {
    steps: &[&removal::Container, &removal::Network, &removal::Volumes, &removal::Images],
    done: (Fate::Gone, "tenant.destroyed"),
    failing: Failing::Stay(OperationState::Stuck, Fate::Failed),
    cancellable: false,
    failed: "tenant.destroy-failed",
};

const ENTRY: Entry = Entry { from: &[], to: Some(TenantStatus::Destroying), action: "tenant.destroy" };

impl Provisioner {
    /// Accepts the removal of a tenant and of everything it has. The work itself begins at once, elsewhere.
    ///
    /// A repair that is under way is stopped first, which takes as long as the step it is at; when its server has died,
    /// as long as its lease.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn destroy(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        let deadline = Instant::now() + self.settings.operations.lease * 2;
        loop {
            let begun =
                self.request(scope, env_id, OperationKind::Destroy, Input::default(), caller.name(), ENTRY).await;
            let Err(RequestError::Store(StoreError::Conflict(Conflict::TenantBusy { operation }))) = &begun else {
                return begun;
            };
            if !self.gives_way(scope, caller, *operation, deadline).await? {
                return begun;
            }
        }
    }

    /// Stops an operation that a destroy need not wait for. False where it is none of those, or does not end in time.
    async fn gives_way(
        &self,
        scope: &Scope,
        caller: &Caller,
        id: OperationId,
        deadline: Instant,
    ) -> Result<bool, RequestError> {
        let Some(busy) = self.store.operation(scope, id).await? else { return Ok(true) };
        if !matches!(busy.kind, OperationKind::Repair | OperationKind::Halt) {
            return Ok(false);
        }
        match self.cancel(scope, caller, id).await {
            Ok(_) | Err(RequestError::Absent | RequestError::Store(StoreError::Conflict(Conflict::Over { .. }))) => {}
            Err(error) => return Err(error),
        }
        let patience = deadline.saturating_duration_since(Instant::now());
        Ok(self.outcome(id, patience).await?.state.is_final() && !patience.is_zero())
    }
}
