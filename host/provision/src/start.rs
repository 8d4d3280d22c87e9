//! Starting a tenant that was stopped.

use convergence_access::Caller;
use convergence_model::operation::{Lane, Operation, OperationState, UpkeepInput};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope, Verb};
use convergence_store::Entry;
use convergence_work::{Effect, Failing, Kind, RequestError};

use crate::Provisioner;
use crate::recipe::{BRING_UP, Leaves, Recipe};

/// Brings a tenant up, as a repair does. From the moment it is accepted the tenant should run: one that does not come up is found by the next look, and after a number of repairs it is
/// halted. To have it stopped again is for a stop.
pub static KIND: Kind = Kind {
    name: "start",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: false,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::TenantFailed,
    asked_action: "tenant.start",
    done_action: "tenant.started",
    failed_action: "tenant.start-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: BRING_UP, leaves: Leaves::Tenant };

impl Provisioner {
    /// Accepts the start of a tenant that was stopped, or failed. From then on it should run.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn start(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        let entry = Entry::asked(Verb::Start, Some(TenantStatus::Running), "tenant.start");
        let operation = self.request(scope, env_id, &KIND, &UpkeepInput::default(), caller.name(), entry).await?;
        self.forgive(scope, env_id).await?;
        Ok(operation)
    }
}
