//! Accepting a destroy, and the steps that carry it out.

use convergence_access::Caller;
use convergence_model::operation::{Lane, Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope, Verb};
use convergence_store::Entry;
use convergence_work::{Effect, Failing, Kind, RequestError};

use crate::Provisioner;
use crate::recipe::{Leaves, Recipe};
use crate::step::others::Everything;
use crate::step::removal;

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

impl Provisioner {
    /// Accepts the removal of a tenant and of everything it has. The work itself begins at once, elsewhere. A protected tenant
    /// has to be named again: `confirm`.
    ///
    /// A repair that is under way is stopped first, which takes as long as the step it is at; when its server has died,
    /// as long as its lease.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn destroy(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        confirm: Option<&str>,
    ) -> Result<Operation, RequestError> {
        let entry = Entry::asked(Verb::Destroy, Some(TenantStatus::Destroying), "tenant.destroy").confirmed(confirm);
        self.request_yielded(scope, caller, env_id, &KIND, &serde_json::json!({}), entry).await
    }
}
