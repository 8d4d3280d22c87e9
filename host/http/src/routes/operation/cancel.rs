//! `POST /api/v1/operations/{id}/cancel`

use axum::extract::State;

use super::begun::{Begun, begun};
use crate::App;
use crate::document::refusal::OfCancel;
use crate::document::{Accepted, problems};
use crate::extract::{Authenticated, OperationPath};

problems!(Refused: OfCancel);

/// Cancel an operation.
///
/// What it is doing is dropped, or finishes where dropping it would leave something behind; then everything a spawn or a
/// deployment did is undone, and it ends `cancelled`. Asking again changes nothing. A repair, a restart or a halt ends where
/// it is. A start, a stop, a destroy and a sweep cannot be cancelled.
#[utoipa::path(post, path = "/api/v1/operations/{id}/cancel", tag = "operation")]
pub(crate) async fn cancel(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
) -> Result<Accepted<Begun>, Refused> {
    Ok(begun(app.operations.cancel(&caller.scope(), caller.name(), id).await.map_err(OfCancel)?))
}
