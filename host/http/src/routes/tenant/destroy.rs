//! `DELETE /api/v1/tenant/{tenant}`

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use convergence_model::operation::OperationState;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::extract::{Authenticated, Query, TenantPath, patience};
use crate::problem::{Problem, ProblemDocument, operation_url};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// Seconds to wait for the end before answering 202.
    wait: Option<u64>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Destroyed {
    success: bool,
    result: String,
    /// Only in a 202: where it can be watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
}

/// Remove a tenant: its container, network, volumes, image, port and key.
#[utoipa::path(
    delete, path = "/api/v1/tenant/{tenant}", tag = "tenant",
    params(("tenant" = String, Path, description = "The tenant's number or name."), Parameters),
    responses(
        (status = 200, body = Destroyed, description = "It is gone."),
        (status = 202, body = Destroyed, description = "It is being removed."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such tenant."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Something else is being done to it."),
    )
)]
pub(crate) async fn destroy(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let begun = app.provisioner.destroy(&caller.scope(), &caller, env_id).await;
    let id = begun.map_err(|error| Problem::of_request("tenant", error))?.id;
    let operation = app.operations.outcome(id, patience(&headers, parameters.wait, app.wait)).await?;
    match (operation.state, &operation.failure) {
        (OperationState::Failed | OperationState::Stuck, Some(failure)) => Err(Problem::failed(id, failure)),
        (OperationState::Succeeded, _) => Ok(Json(Destroyed {
            success: true,
            result: "Environment removed successfully".to_owned(),
            operation: None,
        })
        .into_response()),
        _ => Ok((
            StatusCode::ACCEPTED,
            Json(Destroyed {
                success: true,
                result: "Environment is being removed".to_owned(),
                operation: Some(operation_url(id)),
            }),
        )
            .into_response()),
    }
}
