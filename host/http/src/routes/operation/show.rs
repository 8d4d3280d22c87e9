//! `GET /api/v1/operations/{id}`

use axum::Json;
use axum::extract::State;
use convergence_model::Code;
use convergence_model::operation::{Failure, Operation};
use convergence_store::StoreError;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::code::{CodeSchema, RetrySchema};
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, OperationPath};
use crate::problem::operation_url;

problems!(Refused: Absent, StoreError);

/// How far an operation is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationView {
    #[schema(format = "uuid")]
    id: String,
    /// The path at which it can be watched.
    url: String,
    /// `spawn`, `destroy`, `repair`, `halt`, `sweep`, `remove-volume`; a later version may know more.
    kind: String,
    /// What it is about: `tenant/7`, `platform`.
    subject: String,
    /// The tenant it is about; absent where it is about something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    env_id: Option<i64>,
    /// Why the platform does it of its own accord.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled` or `stuck`.
    state: String,
    /// `forward`, or `back` while what it did is being undone.
    direction: String,
    /// How often it was put back because of something that may pass, since it last got further.
    retries: u32,
    /// Whether somebody asked to cancel it.
    cancelling: bool,
    /// Why it failed, once it has.
    failure: Option<FailureView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Why an operation failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureView {
    step: String,
    /// Why, for programs. `docs/errors.md` says what each code means.
    #[schema(value_type = CodeSchema)]
    code: Code,
    /// The code that another version of the server stored, where `code` is `unknown-code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_code: Option<String>,
    /// Whether beginning the same operation again can help.
    #[schema(value_type = RetrySchema)]
    retry: &'static str,
    message: String,
    likely_cause: String,
    next: String,
    /// The last lines of the build or the app.
    log: Vec<String>,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        Self {
            step: failure.step,
            code: failure.code.code(),
            recorded_code: failure.code.recorded().map(str::to_owned),
            retry: failure.code.code().retry().as_str(),
            message: failure.message,
            likely_cause: failure.likely_cause,
            next: failure.next,
            log: failure.log,
        }
    }
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        Self {
            id: operation.id.to_string(),
            url: operation_url(operation.id),
            reason: operation.reason().to_owned(),
            subject: operation.subject.to_string(),
            env_id: operation.env_id().map(|env_id| env_id.0),
            kind: operation.kind,
            state: operation.state.as_str().to_owned(),
            direction: operation.direction.as_str().to_owned(),
            retries: operation.retries,
            cancelling: operation.cancel && !operation.state.is_final(),
            failure: operation.failure.map(FailureView::from),
            created_at: operation.created_at,
            updated_at: operation.updated_at,
        }
    }
}

/// How far an operation is.
#[utoipa::path(get, path = "/api/v1/operations/{id}", tag = "operation")]
pub(crate) async fn show(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
) -> Result<Json<OperationView>, Refused> {
    let operation = app.store.operation(&caller.scope(), id).await?;
    Ok(operation.map(|operation| Json(operation.into())).ok_or(Absent("operation"))?)
}
