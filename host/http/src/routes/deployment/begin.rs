//! `POST /api/v1/tenant/{tenant}/deployments`

use std::time::Duration;

use axum::extract::State;
use convergence_model::operation::OperationState;
use convergence_model::{EnvId, Scope, Violation};
use convergence_provision::{DeployError, Deployed as Begun, Wanted};
use convergence_store::StoreError;
use serde::Serialize;

use super::view::{Deployed, Deploying, DeploymentView, location};
use super::wire::ChangeBody;
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Absent, Accepted, Created, Either, Replayable, problems};
use crate::extract::{Authenticated, Prefer, TenantPath};
use crate::idempotency::{IdempotencyKey, NotWritten};
use crate::input::{Drafted, Query};
use crate::problem::operation_url;
use crate::routes::operation::waiting::Waiting;
use crate::routes::tenant::wire::Asked as AskedSpec;

problems!(Refused: Absent, Wrong, DeployError, StoreError, NotWritten, Failed);

/// How often a deployment is planned that others overtake.
const ATTEMPTS: u32 = 5;
/// Characters of a reason.
const REASON_MAX: usize = 200;

/// What a deployment is answered with: the revision that runs, or the operation to watch.
pub(crate) type Answer<Refused> = Replayable<Result<Either<Created<Deployed>, Accepted<Deploying>>, Refused>>;

/// Deploy a tenant's next revision: another source, other variables or limits. What is absent stays as it is.
///
/// The revision is built and started beside the one that runs, which is replaced only when the new one is ready; a revision
/// that is not leaves the other one as it is. Where the app keeps files in volumes, which two must not use at once, the one
/// before is stopped first, and started again if need be. Of several that are asked for while one is under way, the newest one
/// waits and replaces the others.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/deployments", tag = "deployment")]
pub(crate) async fn begin(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(waiting): Query<Waiting>,
    key: IdempotencyKey,
    prefer: Prefer,
    Drafted { body, wrong }: Drafted<ChangeBody>,
) -> Result<Answer<Refused>, Refused> {
    let scope = caller.scope();
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    let asked = Asked { tenant: env_id.0, spec: body.asked(), reason: body.reason.as_deref().unwrap_or_default() };
    let idempotency = key.of("POST /api/v1/tenant/{tenant}/deployments", tenant.org, &asked)?;
    let mut attempt = 0;
    let deployed = loop {
        attempt += 1;
        let wanted = app.provisioner.wanted(&scope, env_id).await?.ok_or(Absent("tenant"))?;
        let fresh_source = wanted.fresh_source || body.sends_source();
        let (spec, reason) = body.clone().change(wanted.spec.clone(), wrong.clone()).map_err(Wrong)?;
        let wanted = Wanted { spec, fresh_source, ..wanted };
        match app.provisioner.deploy(&scope, &caller, env_id, wanted, reason, idempotency.clone()).await {
            // Somebody else deployed meanwhile: what stays as it is, is read again.
            Err(error) if error.is_overtaken() && attempt < ATTEMPTS => {}
            deployed => break deployed?,
        }
    };
    answer(&app, &scope, env_id, deployed, waiting.patience(&prefer, &app)).await
}

/// What was asked for, to be compared with another request.
#[derive(Serialize)]
struct Asked<'a> {
    tenant: i64,
    spec: AskedSpec<'a>,
    reason: &'a str,
}

/// Waits for a deployment and answers what became of it.
pub(crate) async fn answer<Refused>(
    app: &App,
    scope: &Scope,
    env_id: EnvId,
    deployed: Begun,
    patience: Duration,
) -> Result<Answer<Refused>, Refused>
where
    Refused: From<StoreError> + From<Absent> + From<Failed>,
{
    let Begun { operation, revision, replayed } = deployed;
    let operation = app.operations.outcome(operation.id, patience).await.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot wait for the outcome of a deployment");
        operation
    });
    if let Some(failure) = operation.failure.clone().filter(|_| operation.state.is_final()) {
        return Ok(Replayable { replayed, answer: Err(Failed(operation.id, failure).into()) });
    }
    // Read now: a deployment changes what is current.
    let tenant = app.store.tenant(scope, env_id).await?.ok_or(Absent("tenant"))?;
    let binding = app.store.binding(scope, tenant.id).await?.ok_or(Absent("tenant"))?;
    let revision = app.store.revision(scope, tenant.id, revision).await?.ok_or(Absent("revision"))?;
    let (number, view) = (revision.number.0, DeploymentView::of(&tenant, revision));
    let answer = if operation.state == OperationState::Succeeded {
        let location = location(env_id, number);
        Either::One(Created { location, body: Deployed::new(binding.port, view) })
    } else {
        let location = operation_url(operation.id);
        Either::Other(Accepted { location, body: Deploying::new(binding.port, view, operation.into()) })
    };
    Ok(Replayable { replayed, answer: Ok(answer) })
}

/// A reason, as it is stored.
pub(crate) fn reason(given: Option<String>) -> Result<String, Wrong> {
    let reason = given.unwrap_or_default();
    if reason.chars().count() > REASON_MAX || reason.chars().any(char::is_control) {
        let message =
            format!("it is longer than {REASON_MAX} characters or has control characters; write one short line");
        return Err(Wrong(vec![Violation::deny("reason", "bad-form", message)]));
    }
    Ok(reason)
}
