//! `GET /api/v1/operations/{id}/events`: progress as server-sent events.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use convergence_model::operation::{EventKind, OperationEvent};
use convergence_store::StoreError;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{Content, RefOr};

use super::show::OperationView;
use crate::App;
use crate::document::{Absent, Answers, Draft, problems, text};
use crate::extract::{Authenticated, LastEventId, OperationPath};

problems!(Refused: Absent, StoreError);

/// The `data` of an event `step`. Its `id` is `seq`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepEvent {
    /// Its number within the operation.
    seq: i64,
    /// The step it is about, for example `image`.
    step: String,
    /// `started`, `line`, `done`, `failed`, `undone`, `undo-failed`, `waiting`, `suspended` or `handed-over`.
    #[schema(value_type = String)]
    event: EventKind,
    /// A line of output, or why it failed.
    detail: String,
    #[schema(value_type = String, format = DateTime)]
    at: jiff::Timestamp,
}

impl From<OperationEvent> for StepEvent {
    fn from(event: OperationEvent) -> Self {
        let OperationEvent { seq, step, event, detail, at } = event;
        Self { seq, step, event, detail, at }
    }
}

/// Server-sent events.
pub(crate) struct Progress(BoxStream<'static, Result<Event, Infallible>>);

impl Answers for Progress {
    fn describe(draft: &mut Draft) {
        let step = one("step", draft.schema::<StepEvent>());
        let step = step.property("id", text().pattern(Some("^[0-9]+$"))).required("id");
        let description = "Server-sent events. The data of each is JSON: that of an event `step` is a `StepEvent`, that of \
                           the last event, `outcome`, an `OperationView`.";
        describe(draft, step, description);
    }
}

/// Describes a stream of events `step` and `outcome`. The schema of an event stream is that of one event: before version 3.2
/// OpenAPI has no place of its own for it.
pub(super) fn describe(draft: &mut Draft, step: ObjectBuilder, description: &str) {
    let outcome = one("outcome", draft.schema::<OperationView>());
    let schema = OneOfBuilder::new().item(step).item(outcome).build();
    let content = Content::new(Some(Schema::OneOf(schema)));
    draft.answer(200, description, vec![("text/event-stream", content)]);
}

/// An event of this name whose data is JSON.
pub(super) fn one(name: &str, data: RefOr<Schema>) -> ObjectBuilder {
    let data = text().content_media_type("application/json").content_schema(Some(data)).build();
    let event = ObjectBuilder::new().schema_type(Type::Object).property("event", text().enum_values(Some([name])));
    event.property("data", data).required("event").required("data")
}

impl IntoResponse for Progress {
    fn into_response(self) -> Response {
        Sse::new(self.0).keep_alive(KeepAlive::default()).into_response()
    }
}

/// Progress as it happens.
///
/// Each event is `step`, with the event's number as its id; `Last-Event-ID` goes on after one. The stream ends
/// with an event `outcome` that holds the operation.
#[utoipa::path(get, path = "/api/v1/operations/{id}/events", tag = "operation")]
pub(crate) async fn events(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    OperationPath(id): OperationPath,
    LastEventId(last): LastEventId,
) -> Result<Progress, Refused> {
    let scope = caller.scope();
    app.store.operation(&scope, id).await?.ok_or(Absent("operation"))?;
    let draining = app.draining.clone();
    let news = std::sync::Arc::clone(&app.operations).watch(scope, id, last);
    let events = news.map(|news| {
        Ok::<_, Infallible>(match news {
            convergence_work::News::Event(event) => {
                let id = event.seq.to_string();
                of("step", &StepEvent::from(event)).id(id)
            }
            convergence_work::News::Outcome(operation) => of("outcome", &OperationView::from(*operation)),
        })
    });
    Ok(Progress(events.take_until(draining.cancelled_owned()).boxed()))
}

pub(super) fn of(name: &str, value: &impl Serialize) -> Event {
    Event::default().event(name).json_data(value).unwrap_or_else(|_| Event::default().event(name))
}
