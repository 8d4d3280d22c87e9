//! What a request is answered with that begins an operation and waits for it, as long as the server is configured to.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use convergence_model::operation::{Operation, OperationState};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Content;
use utoipa::openapi::schema::Type;

use crate::document::{Answers, Draft};
use crate::problem::operation_url;

/// The same body in both cases: with the status `DONE` once the operation has succeeded, else with 202 and the operation's path.
#[derive(Debug)]
pub(crate) struct Outcome<const DONE: u16, T> {
    pub(crate) operation: Operation,
    pub(crate) body: T,
}

impl<const DONE: u16, T: ToSchema> Answers for Outcome<DONE, T> {
    fn describe(draft: &mut Draft) {
        draft.json::<T>(DONE);
        let content = Content::new(Some(draft.schema::<T>()));
        let description = "It is accepted, and the work goes on: watch the operation, or ask for the status.";
        draft.answer(202, description, vec![("application/json", content)]);
        draft.response_header(202, "Location", Type::String, "The path at which the operation can be watched.");
    }
}

impl<const DONE: u16, T: Serialize> IntoResponse for Outcome<DONE, T> {
    fn into_response(self) -> Response {
        if self.operation.state == OperationState::Succeeded {
            let done = StatusCode::from_u16(DONE).unwrap_or(StatusCode::OK);
            return (done, Json(self.body)).into_response();
        }
        let location = operation_url(self.operation.id);
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(self.body)).into_response()
    }
}
