//! `POST /api/v1/keys/rotate`

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use convergence_model::Code;
use convergence_model::operation::OperationState;
use convergence_provision::RotateError;
use convergence_store::StoreError;

use crate::App;
use crate::document::refusal::Failed;
use crate::document::{Accepted, Either, Fails, problems};
use crate::extract::{Authenticated, Prefer};
use crate::input::Query;
use crate::problem::Problem;
use crate::routes::operation::begun::{Begun, begun};
use crate::routes::operation::waiting::Waiting;
use crate::routes::tenant::run::Done;

problems!(Refused: RotateError, StoreError, Failed);

/// Add a key to the ring, which seals from then on, and seal everything anew with it.
///
/// Nothing stops meanwhile, and no tenant's own key changes. Earlier keys stay in the ring: backups may need them.
#[utoipa::path(post, path = "/api/v1/keys/rotate", tag = "key")]
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Authenticated,
    Query(waiting): Query<Waiting>,
    prefer: Prefer,
) -> Result<Either<Json<Done>, Accepted<Begun>>, Refused> {
    let asked = app.provisioner.rotate_keys(caller.administrator()).await?;
    let operation = app.operations.outcome(asked.id, waiting.patience(&prefer, &app)).await?;
    match (operation.state, &operation.failure) {
        (state, Some(failure)) if state.is_final() => Err(Failed(asked.id, failure.clone()).into()),
        (OperationState::Succeeded, _) => Ok(Either::One(Json(Done::of(operation)))),
        _ => Ok(Either::Other(begun(operation))),
    }
}

impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Fixed(detail) => Self::new(Code::RingFixed, detail),
            RotateError::Needed(detail) => Self::new(Code::KeyNeeded, detail),
            RotateError::Absent => Self::no_such("key"),
            RotateError::Request(error) => Self::of_request("operation", error),
        }
    }
}

impl Fails for RotateError {
    fn codes() -> BTreeSet<Code> {
        let own = [Code::RingFixed, Code::KeyNeeded, Code::NotFound, Code::TenantBusy, Code::QueueFull, Code::Stopping];
        &StoreError::codes() | &BTreeSet::from(own)
    }
}
