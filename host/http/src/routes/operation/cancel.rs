//! `POST /api/v1/operations/{id}/cancel`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::show::OperationView;
use crate::App;
use crate::extract::{Authenticated, OperationPath};
use crate::problem::{Problem, ProblemDocument};

/// Cancel an operation.
///
/// What it is doing is dropped, or finishes where dropping it would leave something behind; then everything a spawn did is
/// undone, and it ends `cancelled`. Asking again changes nothing. A repair or a halt ends where it is. A destroy
/// cannot be cancelled.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/cancel", tag = "operation",
    params(("id" = String, Path, description = "The operation's id.")),
    responses(
        (status = 202, body = OperationView, description = "It is accepted; watch the operation."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such operation."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is over, or it cannot be cancelled."),
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
) -> Result<(StatusCode, Json<OperationView>), Problem> {
    let operation = app.operations.cancel(&caller.scope(), caller.name(), id).await;
    let operation = operation.map_err(|error| Problem::of_request("operation", error))?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}
