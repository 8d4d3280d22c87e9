//! Accepting a destroy, and the steps that carry it out.

use convergence_access::Caller;
use convergence_model::operation::{Lane, Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, OperationId, Scope};
use convergence_store::{Conflict, Entry, StoreError};
use convergence_work::{Effect, Failing, Kind, RequestError};
use tokio::time::Instant;

use crate::recipe::{Leaves, Recipe};
use crate::step::others::Everything;
use crate::step::removal;
use crate::{Provisioner, recipe};

/// Remove a tenant and everything it has. None of the steps can be undone; each can be repeated until it works.
pub static KIND: Kind = Kind {
    name: "destroy",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: false,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Stuck, effect: Effect::TenantFailed },
    stuck: Effect::TenantFailed,
    asked_action: "tenant.destroy",
    done_action: "tenant.destroyed",
    failed_action: "tenant.destroy-failed",
};

pub(crate) static RECIPE: Recipe = Recipe {
    kind: &KIND,
    steps: &[&removal::Container, &Everything, &removal::Network, &removal::Volumes, &removal::Images],
    leaves: Leaves::NoTenant,
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
        let deadline = Instant::now() + self.operations.settings().lease * 2;
        loop {
            let begun = self.request(scope, env_id, &KIND, &serde_json::json!({}), caller.name(), ENTRY).await;
            let Err(RequestError::Store(StoreError::Conflict(Conflict::SubjectBusy { operation }))) = &begun else {
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
}
