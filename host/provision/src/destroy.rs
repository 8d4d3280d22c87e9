//! Accepting a destroy, and the steps that carry it out.

use convergence_access::Caller;
use convergence_model::operation::{Input, Operation, OperationKind, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope};
use convergence_store::{Entry, Fate};

use crate::operations::{Failing, Recipe};
use crate::step::removal;
use crate::{Provisioner, RequestError};

/// None of the steps can be undone; each can be repeated until it works.
pub(crate) const RECIPE: Recipe = Recipe {
    steps: &[&removal::Container, &removal::Network, &removal::Volumes, &removal::Images],
    done: (Fate::Gone, "tenant.destroyed"),
    failing: Failing::Stay(OperationState::Stuck, Fate::Failed),
    failed: "tenant.destroy-failed",
};

const ENTRY: Entry = Entry { from: &[], to: Some(TenantStatus::Destroying), action: "tenant.destroy" };

impl Provisioner {
    /// Accepts the removal of a tenant and of everything it has. The work itself begins at once, elsewhere.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn destroy(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        self.request(scope, env_id, OperationKind::Destroy, Input::default(), caller.name(), ENTRY).await
    }
}
