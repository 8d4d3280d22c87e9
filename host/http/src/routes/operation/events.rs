//! `GET /api/v1/operations/{id}/events`: progress as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use convergence_model::operation::OperationEvent;
use futures_util::StreamExt;

use super::show::OperationView;
use crate::App;
use crate::extract::{Authenticated, OperationPath};
use crate::problem::{Problem, ProblemDocument};

/// Progress as it happens.
///
/// Each event is `step`, with the event's number as its id; `Last-Event-ID` goes on after one. The stream ends
/// with an event `outcome` that holds the operation.
#[utoipa::path(
    get, path = "/api/v1/operations/{id}/events", tag = "operation",
    params(
        ("id" = String, Path, description = "The operation's id."),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last event seen."),
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such operation."),
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scope = caller.scope();
    if app.store.operation(&scope, id).await?.is_none() {
        return Err(Problem::no_such("operation"));
    }
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok()).unwrap_or(0);
    let draining = app.draining.clone();
    let news = std::sync::Arc::clone(&app.operations).watch(scope, id, last);
    let events = news.map(|news| {
        Ok::<_, Infallible>(match news {
            convergence_work::News::Event(event) => step(&event),
            convergence_work::News::Outcome(operation) => json("outcome", &OperationView::from(*operation)),
        })
    });
    let events = events.take_until(draining.cancelled_owned());
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

fn step(event: &OperationEvent) -> Event {
    json("step", event).id(event.seq.to_string())
}

fn json(name: &str, value: &impl serde::Serialize) -> Event {
    Event::default().event(name).json_data(value).unwrap_or_else(|_| Event::default().event(name))
}
