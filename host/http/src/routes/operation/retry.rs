//! `POST /api/v1/operations/{id}/retry`

use axum::extract::State;

use super::begun::{Begun, begun};
use crate::App;
use crate::document::refusal::OfRetry;
use crate::document::{Accepted, problems};
use crate::extract::{Authenticated, OperationPath};

problems!(Refused: OfRetry);

/// Try an operation again that is stuck, or that failed and left its tenant.
///
/// It continues the way it was going: forward, or undoing what it did.
#[utoipa::path(post, path = "/api/v1/operations/{id}/retry", tag = "operation")]
pub(crate) async fn retry(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
) -> Result<Accepted<Begun>, Refused> {
    Ok(begun(app.operations.retry(&caller.scope(), caller.name(), id).await.map_err(OfRetry)?))
}
