//! `POST /api/v1/tenant/{tenant}/start`, `/stop`, `/restart`

use axum::Json;
use axum::extract::State;
use convergence_model::operation::{Operation, OperationState};
use convergence_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::document::refusal::{Failed, OfTenant};
use crate::document::{Accepted, Either, problems};
use crate::extract::{Authenticated, Prefer, TenantPath};
use crate::input::Query;
use crate::routes::operation::begun::{Begun, begun};
use crate::routes::operation::show::OperationView;
use crate::routes::operation::waiting::Waiting;

problems!(Refused: OfTenant, StoreError, Failed);

/// It is done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    success: bool,
    operation: OperationView,
}

impl Done {
    /// About what was done.
    pub(crate) fn of(operation: Operation) -> Self {
        Self { success: true, operation: operation.into() }
    }
}

type Answer = Result<Either<Json<Done>, Accepted<Begun>>, Refused>;

/// Start a tenant that was stopped, or that failed, and wait until it is ready.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/start", tag = "tenant")]
pub(crate) async fn start(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(waiting): Query<Waiting>,
    prefer: Prefer,
) -> Answer {
    let asked = app.provisioner.start(&caller.scope(), &caller, env_id).await.map_err(OfTenant)?;
    answer(&app, asked, &waiting, &prefer).await
}

/// Stop a tenant. Its container stays, with its volumes, and nothing starts it until somebody asks: neither the platform nor
/// a restart of the engine or the machine.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/stop", tag = "tenant")]
pub(crate) async fn stop(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(waiting): Query<Waiting>,
    prefer: Prefer,
) -> Answer {
    let asked = app.provisioner.stop(&caller.scope(), &caller, env_id).await.map_err(OfTenant)?;
    answer(&app, asked, &waiting, &prefer).await
}

/// Stop a tenant's app, start it again, and wait until it is ready.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/restart", tag = "tenant")]
pub(crate) async fn restart(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(waiting): Query<Waiting>,
    prefer: Prefer,
) -> Answer {
    let asked = app.provisioner.restart(&caller.scope(), &caller, env_id).await.map_err(OfTenant)?;
    answer(&app, asked, &waiting, &prefer).await
}

async fn answer(app: &App, asked: Operation, waiting: &Waiting, prefer: &Prefer) -> Answer {
    let id = asked.id;
    let operation = app.operations.outcome(id, waiting.patience(prefer, app)).await?;
    match (operation.state, &operation.failure) {
        (state, Some(failure)) if state.is_final() => Err(Failed(id, failure.clone()).into()),
        (OperationState::Succeeded, _) => Ok(Either::One(Json(Done::of(operation)))),
        _ => Ok(Either::Other(begun(operation))),
    }
}
