//! What every route answers that begins or changes an operation and does not wait for its end.

use convergence_model::operation::Operation;
use serde::Serialize;
use utoipa::ToSchema;

use super::show::OperationView;
use crate::document::{Accepted, Link, Linked};
use crate::problem::operation_url;

/// Where an answer leads that has an `operation`.
pub(crate) const LINKS: &[Link] = &[
    ("operation", "operation_show", "id", "$response.body#/operation/id"),
    ("events", "operation_events", "id", "$response.body#/operation/id"),
];

/// It is accepted; watch the operation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Begun {
    success: bool,
    operation: OperationView,
}

impl Linked for Begun {
    const LINKS: &'static [Link] = LINKS;
}

/// The answer about an operation.
pub(crate) fn begun(operation: Operation) -> Accepted<Begun> {
    let location = operation_url(operation.id);
    Accepted { location, body: Begun { success: true, operation: operation.into() } }
}
