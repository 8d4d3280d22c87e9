//! `POST /api/v1/operations/{id}/retry`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::show::OperationView;
use crate::App;
use crate::extract::{Authenticated, OperationPath};
use crate::problem::{Problem, ProblemDocument};

/// Try an operation again that is stuck, or that failed and left its tenant.
///
/// It continues the way it was going: forward, or undoing what it did.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/retry", tag = "operation",
    params(("id" = String, Path, description = "The operation's id.")),
    responses(
        (status = 202, body = OperationView, description = "It is accepted; watch the operation."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such operation."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is neither, or something else is being done to its tenant."),
    )
)]
pub(crate) async fn retry(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
) -> Result<(StatusCode, Json<OperationView>), Problem> {
    let operation = app.operations.retry(&caller.scope(), caller.name(), id).await;
    let operation = operation.map_err(|error| Problem::of_request("operation", error))?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}
