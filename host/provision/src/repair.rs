//! Bringing a tenant back to what its revision says.

use convergence_access::Caller;
use convergence_model::operation::{Input, Operation, OperationKind, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope};
use convergence_store::{Entry, Fate};

use crate::operations::{Failing, Recipe};
use crate::{Provisioner, RequestError, spawn};

/// What a spawn does, since each of its steps keeps what is as it should be. A tenant that ran once may hold data, so
/// nothing of it is undone; one that does not come up is found again by the next look, and after a number of these it is
/// halted.
pub(crate) const RECIPE: Recipe = Recipe {
    steps: spawn::RECIPE.steps,
    done: (Fate::Runs, "tenant.repaired"),
    failing: Failing::Stay(OperationState::Failed, Fate::Untouched),
    cancellable: true,
    failed: "tenant.repair-failed",
};

/// A tenant the platform itself finds in need of repair: one that should run.
pub(crate) const FOUND: Entry = Entry { from: &[TenantStatus::Running], to: None, action: "tenant.repair" };

/// A tenant somebody asks to repair may also have failed; from then on it should run.
const ASKED: Entry = Entry {
    from: &[TenantStatus::Running, TenantStatus::Failed],
    to: Some(TenantStatus::Running),
    action: "tenant.repair",
};

impl Provisioner {
    /// Accepts the repair of a tenant that runs, or should. The work itself begins at once, elsewhere.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn repair(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        let operation =
            self.request(scope, env_id, OperationKind::Repair, Input::default(), caller.name(), ASKED).await?;
        self.store.forgive_crashes(operation.tenant).await?;
        Ok(operation)
    }
}
