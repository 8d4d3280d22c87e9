//! What a change of variables is asked and answered with.

use axum::Json;
use convergence_access::Caller;
use convergence_model::EnvId;
use convergence_provision::{Configured, DeployError, NewVariables};
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::IntoParams;

use super::view::VariablesView;
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Absent, Accepted, Created, Either, problems};
use crate::extract::Prefer;
use crate::routes::deployment::begin;
use crate::routes::deployment::view::{Deployed, Deploying};

problems!(Refused: Absent, Wrong, StoreError, DeployError, Failed);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// `false` keeps the change for the next deployment. Otherwise the app is replaced by a revision that has it, unless it is
    /// stopped.
    deploy: Option<bool>,
    /// Seconds to wait for the outcome before answering 202, at most 3600; what the server is configured to where absent.
    #[param(minimum = 0, maximum = 3600)]
    wait: Option<u64>,
}

/// The variables, where no deployment is needed; the revision that has them; or the operation that brings it up.
pub(crate) type Answer = Result<Either<Json<VariablesView>, Either<Created<Deployed>, Accepted<Deploying>>>, Refused>;

/// Changes variables, and waits for the revision that has them.
pub(crate) async fn configure(
    app: &App,
    caller: &Caller,
    env_id: EnvId,
    change: &NewVariables,
    reason: String,
    parameters: &Parameters,
    prefer: &Prefer,
) -> Answer {
    let scope = caller.scope();
    let deploy = parameters.deploy.unwrap_or(true);
    let configured = app.provisioner.configure(&scope, caller, env_id, change, deploy, reason).await;
    let deployed = match configured? {
        Configured::Deploying(deployed) => *deployed,
        Configured::Unchanged | Configured::Kept => {
            let variables = app.provisioner.variables(&scope, env_id).await?.ok_or(Absent("tenant"))?;
            return Ok(Either::One(Json(variables.into())));
        }
    };
    let patience = prefer.patience(parameters.wait, app.wait);
    let begun = begin::answer::<Refused>(app, &scope, env_id, deployed, patience).await?;
    Ok(Either::Other(begun.answer?))
}
