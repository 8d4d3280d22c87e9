//! `DELETE /api/v1/tenant/{tenant}`

use axum::Json;
use axum::extract::State;
use convergence_model::operation::OperationState;
use convergence_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::document::refusal::{Failed, OfDestroy};
use crate::document::{Accepted, Either, Link, Linked, problems};
use crate::extract::{Authenticated, Prefer, TenantPath};
use crate::input::Query;
use crate::problem::operation_url;
use crate::routes::operation::begun;
use crate::routes::operation::show::OperationView;

problems!(Refused: OfDestroy, StoreError, Failed);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The tenant's name once more: needed for one that is protected.
    #[param(max_length = 100)]
    confirm: Option<String>,
    /// Seconds to wait for the outcome before answering 202, at most 3600; what the server is configured to where absent.
    #[param(minimum = 0, maximum = 3600)]
    wait: Option<u64>,
}

/// The tenant is gone.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Destroyed {
    success: bool,
    result: String,
}

/// The tenant is being removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Destroying {
    success: bool,
    result: String,
    operation: OperationView,
}

impl Linked for Destroying {
    const LINKS: &'static [Link] = begun::LINKS;
}

/// Remove a tenant: its container, network, volumes, image, port and key. A protected one has to be named again.
#[utoipa::path(delete, path = "/api/v1/tenant/{tenant}", tag = "tenant")]
pub(crate) async fn destroy(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
    prefer: Prefer,
) -> Result<Either<Json<Destroyed>, Accepted<Destroying>>, Refused> {
    let id = app.provisioner.destroy(&caller.scope(), &caller, env_id, parameters.confirm.as_deref()).await;
    let id = id.map_err(OfDestroy)?.id;
    let operation = app.operations.outcome(id, prefer.patience(parameters.wait, app.wait)).await?;
    match (operation.state, &operation.failure) {
        (OperationState::Failed | OperationState::Stuck, Some(failure)) => Err(Failed(id, failure.clone()).into()),
        (OperationState::Succeeded, _) => {
            Ok(Either::One(Json(Destroyed { success: true, result: "Environment removed successfully".to_owned() })))
        }
        _ => {
            let (location, result) = (operation_url(id), "Environment is being removed".to_owned());
            let body = Destroying { success: true, result, operation: operation.into() };
            Ok(Either::Other(Accepted { location, body }))
        }
    }
}
