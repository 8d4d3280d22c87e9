//! What happens around every request: an id, a span, headers, and problems written out.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use convergence_model::Code;
use convergence_model::ids::Ids;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::document::kept::Promises;
use crate::problem::{Form, Problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of a client's own request id.
const REQUEST_ID_MAX: usize = 128;

/// Puts everything around the routes that every answer needs.
pub(crate) fn around(routes: Router, ids: Arc<dyn Ids>, promises: Promises) -> Router {
    routes.layer(CatchPanicLayer::custom(panicked)).layer(middleware::from_fn(move |request: Request, next: Next| {
        let (ids, promises) = (Arc::clone(&ids), promises.clone());
        async move {
            let id = request_id(&request, ids.as_ref());
            let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
            answer(request, next, &id, &promises).instrument(span).await
        }
    }))
}

async fn answer(request: Request, next: Next, id: &str, promises: &Promises) -> Response {
    let began = Instant::now();
    let (path, method) = (request.extensions().get::<MatchedPath>().cloned(), request.method().clone());
    let form = Form::of(request.uri().path());
    let mut response = match one_host(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        // What the handler put beside its problem stays: that it is a replay, for example.
        let beside = std::mem::take(response.headers_mut());
        response = problem.render(id, form);
        response.headers_mut().extend(beside);
    }
    // In a release the document is what the tests found it to be; before, an answer that it does not list is a defect.
    if cfg!(debug_assertions)
        && let Some(wrong) = promises.broken(path.as_ref(), &method, &response)
    {
        tracing::error!(wrong, "the document is not true");
        response = Problem::internal(&wrong).render(id, form);
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    tracing::info!(status = response.status().as_u16(), took = ?began.elapsed(), "answered");
    response
}

/// Of two hosts one would be believed here and the other one by whatever stands in front.
fn one_host(request: &Request) -> Result<(), Problem> {
    match request.headers().get_all(header::HOST).iter().count() {
        0 | 1 => Ok(()),
        many => Err(Problem::new(
            Code::MalformedRequest,
            format!("the request has {many} `Host` headers; send one, with the name and port of this server"),
        )),
    }
}

/// A client's own id if it is printable and short, so that it can neither forge log lines nor fill the log.
fn request_id(request: &Request, ids: &dyn Ids) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.to_owned()
        }
        _ => ids.uuid().to_string(),
    }
}

#[allow(clippy::needless_pass_by_value)] // the signature is tower-http's
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("?"), "a handler panicked; this is a bug");
    Problem::new(Code::Internal, "something went wrong on the server; its log says what, under this requestId")
        .into_response()
}
