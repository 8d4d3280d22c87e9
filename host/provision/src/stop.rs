//! Stopping a tenant because somebody asks for it.

use convergence_access::Caller;
use convergence_model::operation::{Lane, Operation, OperationState, UpkeepInput};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope, Verb};
use convergence_store::Entry;
use convergence_work::{Effect, Failing, Kind, RequestError};

use crate::Provisioner;
use crate::recipe::{Leaves, Recipe};
use crate::step::others::Others;
use crate::step::removal;

/// The container stays, stopped, with what it printed, and nobody starts it until somebody asks. One that could not be stopped
/// runs on.
pub static KIND: Kind = Kind {
    name: "stop",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: false,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::TenantFailed,
    asked_action: "tenant.stop",
    done_action: "tenant.stopped",
    failed_action: "tenant.stop-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: &[&Others, &removal::Stop], leaves: Leaves::Stopped };

/// One that is to be stopped and runs: somebody started it behind the platform's back.
pub(crate) const FOUND: Entry<'static> = Entry::found(&[TenantStatus::Stopped], "tenant.stop");

impl Provisioner {
    /// Accepts the stop of a tenant. The work itself begins at once, elsewhere.
    ///
    /// # Errors
    /// [`RequestError`]; nothing was changed.
    pub async fn stop(&self, scope: &Scope, caller: &Caller, env_id: EnvId) -> Result<Operation, RequestError> {
        let entry = Entry::asked(Verb::Stop, None, "tenant.stop");
        self.request_yielded(scope, caller, env_id, &KIND, &UpkeepInput::default(), entry).await
    }
}
