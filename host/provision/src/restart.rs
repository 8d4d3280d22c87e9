//! Stopping a tenant's app and starting it again.

use convergence_access::Caller;
use convergence_model::operation::{Lane, Operation, OperationState, UpkeepInput};
use convergence_model::{EnvId, Scope, Verb};
use convergence_store::Entry;
use convergence_work::{Effect, Failing, Kind, RequestError};

use crate::Provisioner;
use crate::recipe::{Leaves, Recipe};
use crate::step::{container::Container, probe::Probe, start::Start};

/// The same container is stopped, giving the app its time, and started. One that does not come up again is found by the next
/// look, and repaired.
pub static KIND: Kind = Kind {
    name: "restart",
    lane: Lane::Engine,
    exclusive: true,
    yields: true,
    cancellable: true,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::TenantFailed,
    asked_action: "tenant.restart",
    done_action: "tenant.restarted",
    failed_action: "tenant.restart-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: &[&Container, &Start, &Probe], leaves: Leaves::Tenant };

impl Provisioner {
    /// Accepts the restart of a tenant that runs.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn restart(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        let entry = Entry::asked(Verb::Restart, None, "tenant.restart");
        // What the step that makes sure of the container is told: to stop it also where it is as it should be.
        let asked = UpkeepInput { restart: true, ..UpkeepInput::default() };
        let operation = self.request_yielded(scope, caller, env_id, &KIND, &asked, entry).await?;
        self.forgive(scope, env_id).await?;
        Ok(operation)
    }
}
