//! `GET /api/v1/events`: what happens to all operations, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use convergence_model::operation::Operation;
use convergence_work::News;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Serialize;
use utoipa::ToSchema;

use super::events::{StepEvent, describe, of, one};
use super::show::OperationView;
use crate::App;
use crate::document::{Answers, Draft};
use crate::extract::Authenticated;

/// The `data` of an event `step`: an event, and the operation it belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OperationStepEvent {
    /// The operation's id.
    operation: String,
    /// What is being done, for example `spawn`.
    kind: String,
    /// What it is about, for example `tenant/7`.
    subject: String,
    #[serde(flatten)]
    event: StepEvent,
}

/// Server-sent events of all operations.
pub(crate) struct Everything(BoxStream<'static, Result<Event, Infallible>>);

impl Answers for Everything {
    fn describe(draft: &mut Draft) {
        let step = one("step", draft.schema::<OperationStepEvent>());
        let description = "Server-sent events. The data of each is JSON: that of an event `step` is an \
                           `OperationStepEvent`, that of an event `outcome` an `OperationView`.";
        describe(draft, step, description);
    }
}

impl IntoResponse for Everything {
    fn into_response(self) -> Response {
        Sse::new(self.0).keep_alive(KeepAlive::default()).into_response()
    }
}

/// Follow all operations in reach.
///
/// The stream begins with what happens next and does not end by itself. Each event is `step`, as in the stream of one operation,
/// with `operation`, `kind` and `subject` beside its fields; an operation that ends is an event `outcome` that holds it.
#[utoipa::path(get, path = "/api/v1/events", tag = "operation")]
pub(crate) async fn follow(State(app): State<App>, Authenticated(caller): Authenticated) -> Everything {
    let draining = app.draining.clone();
    let news = Arc::clone(&app.operations).watch_all(caller.scope());
    let events = news.map(|(operation, news)| Ok::<_, Infallible>(told(&operation, news)));
    Everything(events.take_until(draining.cancelled_owned()).boxed())
}

fn told(operation: &Operation, news: News) -> Event {
    match news {
        News::Event(event) => {
            let (kind, subject) = (operation.kind.clone(), operation.subject.as_str().to_owned());
            let operation = operation.id.to_string();
            of("step", &OperationStepEvent { operation, kind, subject, event: event.into() })
        }
        News::Outcome(operation) => of("outcome", &OperationView::from(*operation)),
    }
}
