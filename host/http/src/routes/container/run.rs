//! `POST /api/tenants/{organizationId}/start`, `/stop`, `/restart`, `/terminate`

use axum::extract::State;
use convergence_model::operation::Operation;
use convergence_model::{EnvId, OperationId};
use convergence_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use super::client::{ClientPath, NoContainer, engine_id, find};
use super::outcome::Outcome;
use crate::App;
use crate::document::problems;
use crate::document::refusal::{Failed, OfDestroy, OfTenant};
use crate::extract::Authenticated;

problems!(Refused: NoContainer, OfTenant, StoreError, Failed);
problems!(NotTerminated: NoContainer, OfDestroy, StoreError, Failed);

/// What was asked for is done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerRuns {
    /// Always `true`.
    success: bool,
    /// The engine's id of the container; absent where the engine does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
}

/// What was asked for is done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContainerEnded {
    /// Always `true`.
    success: bool,
}

/// Start the container of a client organization that was stopped, or that failed, and wait until it is ready.
#[utoipa::path(post, path = "/api/tenants/{organizationId}/start", tag = "container")]
pub(crate) async fn start(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Outcome<200, ContainerRuns>, Refused> {
    let env_id = find(&app, &caller, &client).await?;
    let asked = app.provisioner.start(&caller.0.scope(), &caller.0, env_id).await.map_err(OfTenant)?;
    let operation = over::<Refused>(&app, asked.id).await?;
    Ok(runs(&app, env_id, operation).await)
}

/// Stop the container of a client organization. It stays, and nothing starts it until somebody asks.
#[utoipa::path(post, path = "/api/tenants/{organizationId}/stop", tag = "container")]
pub(crate) async fn stop(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Outcome<200, ContainerEnded>, Refused> {
    let env_id = find(&app, &caller, &client).await?;
    let asked = app.provisioner.stop(&caller.0.scope(), &caller.0, env_id).await.map_err(OfTenant)?;
    let operation = over::<Refused>(&app, asked.id).await?;
    Ok(Outcome { operation, body: ContainerEnded { success: true } })
}

/// Stop the app of a client organization, start it again, and wait until it is ready.
#[utoipa::path(post, path = "/api/tenants/{organizationId}/restart", tag = "container")]
pub(crate) async fn restart(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Outcome<200, ContainerRuns>, Refused> {
    let env_id = find(&app, &caller, &client).await?;
    let asked = app.provisioner.restart(&caller.0.scope(), &caller.0, env_id).await.map_err(OfTenant)?;
    let operation = over::<Refused>(&app, asked.id).await?;
    Ok(runs(&app, env_id, operation).await)
}

/// Remove the container of a client organization with everything it has: network, volumes, image, port and key.
///
/// A tenant that is protected is refused: `DELETE /api/v1/tenant/{tenant}` takes its name as a confirmation.
#[utoipa::path(post, path = "/api/tenants/{organizationId}/terminate", tag = "container")]
pub(crate) async fn terminate(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Outcome<200, ContainerEnded>, NotTerminated> {
    let env_id = find(&app, &caller, &client).await?;
    let asked = app.provisioner.destroy(&caller.0.scope(), &caller.0, env_id, None).await.map_err(OfDestroy)?;
    let operation = over::<NotTerminated>(&app, asked.id).await?;
    Ok(Outcome { operation, body: ContainerEnded { success: true } })
}

/// An operation as it is when it is over, or when it was waited for long enough; an error where it failed.
pub(super) async fn over<Refused>(app: &App, id: OperationId) -> Result<Operation, Refused>
where
    Refused: From<StoreError> + From<Failed>,
{
    let operation = app.operations.outcome(id, app.wait).await?;
    match operation.failure.clone().filter(|_| operation.state.is_final()) {
        Some(failure) => Err(Failed(id, failure).into()),
        None => Ok(operation),
    }
}

/// The answer about a container that an operation brings up.
pub(super) async fn runs(app: &App, env_id: EnvId, operation: Operation) -> Outcome<200, ContainerRuns> {
    Outcome { operation, body: unchanged(app, env_id).await }
}

/// The answer about a container as it is.
pub(super) async fn unchanged(app: &App, env_id: EnvId) -> ContainerRuns {
    let container_id = engine_id(app, &app.provisioner.container_name(env_id)).await;
    ContainerRuns { success: true, container_id }
}
