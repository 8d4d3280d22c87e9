//! Bringing a tenant back to what its revision says.

use convergence_access::Caller;
use convergence_model::operation::{Lane, Operation, OperationState, UpkeepInput};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope, Verb};
use convergence_store::Entry;
use convergence_work::{Effect, Failing, Kind, RequestError};

use crate::Provisioner;
use crate::recipe::{BRING_UP, Leaves, Recipe};

/// Brings a tenant up. One that ran may hold data, so that nothing of it is undone; one that does not come up is found again by the next look, and after a number of these it is
/// halted.
pub static KIND: Kind = Kind {
    name: "repair",
    lane: Lane::Engine,
    exclusive: true,
    yields: true,
    cancellable: true,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::TenantFailed,
    asked_action: "tenant.repair",
    done_action: "tenant.repaired",
    failed_action: "tenant.repair-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: BRING_UP, leaves: Leaves::Tenant };

/// A tenant the platform itself finds in need of repair: one that should run.
pub(crate) const FOUND: Entry<'static> = Entry::found(&[TenantStatus::Running], "tenant.repair");

impl Provisioner {
    /// Accepts the repair of a tenant that runs, or should. The work itself begins at once, elsewhere.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn repair(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        // It may also have failed; from then on it should run.
        let entry = Entry::asked(Verb::Repair, Some(TenantStatus::Running), "tenant.repair");
        let operation = self.request(scope, env_id, &KIND, &UpkeepInput::default(), caller.name(), entry).await?;
        self.forgive(scope, env_id).await?;
        Ok(operation)
    }
}
