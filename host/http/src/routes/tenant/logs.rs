//! `GET /api/v1/tenant/{tenant}/logs`

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use convergence_runtime::{LogQuery, RuntimeError};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::extract::{Authenticated, Query, TenantPath};
use crate::problem::{Problem, ProblemDocument};

const TAIL_DEFAULT: u32 = 200;
const TAIL_MAX: u32 = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// How many of the last lines, at most 10000; 200 where absent.
    tail: Option<u32>,
    /// Keeps the answer open and sends lines as plain text as they come.
    follow: Option<bool>,
}

/// What a tenant printed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Logs {
    /// Oldest first.
    logs: Vec<String>,
}

/// What a tenant printed, oldest first.
#[utoipa::path(
    get, path = "/api/v1/tenant/{tenant}/logs", tag = "tenant",
    params(("tenant" = String, Path, description = "The tenant's number or name."), Parameters),
    responses(
        (status = 200, body = Logs),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such tenant."),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json", description = "The engine does not answer."),
    )
)]
pub(crate) async fn logs(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
) -> Result<Response, Problem> {
    let tail = parameters.tail.unwrap_or(TAIL_DEFAULT).min(TAIL_MAX);
    let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
    let name =
        app.provisioner.container_of(&caller.scope(), env_id).await?.ok_or_else(|| Problem::no_such("tenant"))?;
    if parameters.follow.unwrap_or(false) {
        let draining = app.draining.clone();
        let lines = match app.runtime.follow_logs(&name, &query).await {
            Err(RuntimeError::NotFound { .. }) => futures_util::stream::empty().boxed(),
            answer => answer?,
        };
        let text = lines.map(|line| line.map(|line| format!("{}\n", line.text))).take_until(draining.cancelled_owned());
        return Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(text)).into_response());
    }
    let lines = match app.runtime.logs(&name, &query).await {
        // The tenant is there, its container is not (yet, or any more): it printed nothing.
        Err(RuntimeError::NotFound { .. }) => Vec::new(),
        answer => answer?,
    };
    Ok(Json(Logs { logs: lines.into_iter().map(|line| line.text).collect() }).into_response())
}
