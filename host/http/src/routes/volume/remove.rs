//! `DELETE /api/v1/tenant/{tenant}/volumes/{name}`

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use convergence_model::Code;
use convergence_model::operation::OperationState;
use convergence_provision::VolumeError;
use convergence_runtime::RuntimeError;
use convergence_store::StoreError;

use super::path::VolumePath;
use crate::App;
use crate::document::refusal::{Failed, OfTenant};
use crate::document::{Accepted, Either, Fails, problems};
use crate::extract::{Authenticated, Prefer};
use crate::input::Query;
use crate::problem::Problem;
use crate::routes::operation::begun::{Begun, begun};
use crate::routes::operation::waiting::Waiting;
use crate::routes::tenant::run::Done;

problems!(Refused: VolumeError, StoreError, NotRemoved);

/// Remove a volume of a tenant, and the data in it for good.
///
/// Refused while the tenant's current revision mounts it, or one that is not up yet. An earlier revision does not keep it: a rollback
/// to one that mounts it gets a new volume with nothing in it.
#[utoipa::path(delete, path = "/api/v1/tenant/{tenant}/volumes/{name}", tag = "volume")]
pub(crate) async fn remove(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    VolumePath(env_id, name): VolumePath,
    Query(waiting): Query<Waiting>,
    prefer: Prefer,
) -> Result<Either<Json<Done>, Accepted<Begun>>, Refused> {
    let asked = app.provisioner.remove_volume(&caller.scope(), &caller, env_id, &name).await?;
    let operation = app.operations.outcome(asked.id, waiting.patience(&prefer, &app)).await?;
    match (operation.state, &operation.failure) {
        (state, Some(failure)) if state.is_final() => Err(NotRemoved(Failed(asked.id, failure.clone())).into()),
        (OperationState::Succeeded, _) => Ok(Either::One(Json(Done::of(operation)))),
        _ => Ok(Either::Other(begun(operation))),
    }
}

/// The removal was accepted, and failed.
#[derive(Debug)]
pub(crate) struct NotRemoved(Failed);

impl From<NotRemoved> for Problem {
    fn from(NotRemoved(failed): NotRemoved) -> Self {
        failed.into()
    }
}

impl Fails for NotRemoved {
    fn codes() -> BTreeSet<Code> {
        // A container that mounts it is found only when it is removed.
        &Failed::codes() | &BTreeSet::from([Code::VolumeInUse])
    }
}

impl From<VolumeError> for Problem {
    fn from(error: VolumeError) -> Self {
        let detail = error.to_string();
        match error {
            VolumeError::Absent => Self::no_such("volume"),
            VolumeError::InUse { .. } => Self::new(Code::VolumeInUse, detail),
            VolumeError::Engine(error) => error.into(),
            VolumeError::Request(error) => Self::of_request("tenant", error),
        }
    }
}

impl Fails for VolumeError {
    fn codes() -> BTreeSet<Code> {
        let asked = &OfTenant::codes() | &RuntimeError::codes();
        &asked | &BTreeSet::from([Code::NotFound, Code::VolumeInUse])
    }
}
