//! `GET /api/v1/events`: what happens to all operations, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use convergence_model::operation::{Operation, OperationEvent};
use convergence_work::News;
use futures_util::StreamExt;
use serde::Serialize;

use super::show::OperationView;
use crate::App;
use crate::extract::Authenticated;

/// An event, and the operation it belongs to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    operation: String,
    kind: &'a str,
    subject: &'a str,
    #[serde(flatten)]
    event: &'a OperationEvent,
}

/// Follow all operations in reach.
///
/// The stream begins with what happens next and does not end by itself. Each event is `step`, as in the stream of one operation,
/// with `operation`, `kind` and `subject` beside its fields; an operation that ends is an event `outcome` that holds it.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "operation",
    responses((status = 200, body = String, content_type = "text/event-stream"))
)]
pub(crate) async fn follow(State(app): State<App>, Authenticated(caller): Authenticated) -> Response {
    let draining = app.draining.clone();
    let news = Arc::clone(&app.operations).watch_all(caller.scope());
    let events = news.map(|(operation, news)| Ok::<_, Infallible>(told(&operation, news)));
    Sse::new(events.take_until(draining.cancelled_owned())).keep_alive(KeepAlive::default()).into_response()
}

fn told(operation: &Operation, news: News) -> Event {
    let named = |name: &str| Event::default().event(name);
    let event = match news {
        News::Event(event) => {
            let (id, subject) = (operation.id.to_string(), operation.subject.as_str());
            named("step").json_data(Told { operation: id, kind: &operation.kind, subject, event: &event })
        }
        News::Outcome(operation) => named("outcome").json_data(OperationView::from(*operation)),
    };
    // What cannot be written as JSON is told by its name alone.
    event.unwrap_or_else(|_| named("unreadable"))
}
