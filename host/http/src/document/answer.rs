//! What handlers answer where all goes well, each with what the document says of it.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Content;
use utoipa::openapi::schema::Type;

use super::{Answers, Draft, Link, text};
use crate::idempotency::REPLAYED;

impl<T: ToSchema> Answers for Json<T> {
    fn describe(draft: &mut Draft) {
        draft.json::<T>(200);
    }
}

/// A body that says where its reader can go from there.
pub(crate) trait Linked: Serialize + ToSchema {
    /// Where to.
    const LINKS: &'static [Link];
}

/// 201, with where the new thing is.
#[derive(Debug)]
pub(crate) struct Created<T> {
    pub(crate) location: String,
    pub(crate) body: T,
}

/// 202, with where the operation can be watched that was begun.
#[derive(Debug)]
pub(crate) struct Accepted<T> {
    pub(crate) location: String,
    pub(crate) body: T,
}

fn described<T: Linked>(draft: &mut Draft, status: u16, location: &str) {
    draft.json::<T>(status);
    draft.response_header(status, "Location", Type::String, location);
    draft.links(status, T::LINKS);
}

fn located(status: StatusCode, location: &str, body: impl IntoResponse) -> Response {
    let mut response = (status, body).into_response();
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

impl<T: Linked> Answers for Created<T> {
    fn describe(draft: &mut Draft) {
        described::<T>(draft, 201, "The path of what was made.");
    }
}

impl<T: Linked> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        located(StatusCode::CREATED, &self.location, Json(self.body))
    }
}

impl<T: Linked> Answers for Accepted<T> {
    fn describe(draft: &mut Draft) {
        described::<T>(draft, 202, "The path at which the operation can be watched.");
    }
}

impl<T: Linked> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        located(StatusCode::ACCEPTED, &self.location, Json(self.body))
    }
}

/// 204.
#[derive(Debug)]
pub(crate) struct NoContent;

impl Answers for NoContent {
    fn describe(draft: &mut Draft) {
        draft.answer(204, "It is done, and there is nothing to say about it.", Vec::new());
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// One of two.
#[derive(Debug)]
pub(crate) enum Either<A, B> {
    One(A),
    Other(B),
}

impl<A: Answers, B: Answers> Answers for Either<A, B> {
    fn describe(draft: &mut Draft) {
        A::describe(draft);
        B::describe(draft);
    }
}

impl<A: IntoResponse, B: IntoResponse> IntoResponse for Either<A, B> {
    fn into_response(self) -> Response {
        match self {
            Self::One(answer) => answer.into_response(),
            Self::Other(answer) => answer.into_response(),
        }
    }
}

/// What may be the answer to an earlier request with the same idempotency key, and then says so.
#[derive(Debug)]
pub(crate) struct Replayable<T> {
    pub(crate) replayed: bool,
    pub(crate) answer: T,
}

impl<T: Answers> Answers for Replayable<T> {
    fn describe(draft: &mut Draft) {
        T::describe(draft);
        let description = "`true` where this answers an earlier request with the same `Idempotency-Key`.";
        draft.every_response_header("Idempotency-Replayed", description);
    }
}

impl<T: IntoResponse> IntoResponse for Replayable<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Lines of text, as they come.
#[derive(Debug)]
pub(crate) struct Follow(pub(crate) Body);

impl Answers for Follow {
    fn describe(draft: &mut Draft) {
        let content = Content::new(Some(text().build()));
        draft.answer(200, "Lines of text as they come, until the container ends.", vec![("text/plain", content)]);
    }
}

impl IntoResponse for Follow {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.0).into_response()
    }
}
