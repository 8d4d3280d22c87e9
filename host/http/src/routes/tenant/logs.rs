//! `GET /api/v1/tenant/{tenant}/logs`

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use convergence_runtime::{LogQuery, LogStream, RuntimeError};
use convergence_store::StoreError;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::document::{Absent, Either, Follow, problems};
use crate::extract::{Authenticated, TenantPath};
use crate::input::Query;

problems!(Refused: Absent, StoreError, RuntimeError);

const TAIL_DEFAULT: u32 = 200;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// How many of the last lines, at most 10000; 200 where absent.
    #[param(minimum = 0, maximum = 10000)]
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
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/logs", tag = "tenant")]
pub(crate) async fn logs(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
) -> Result<Either<Json<Logs>, Follow>, Refused> {
    let tail = parameters.tail.unwrap_or(TAIL_DEFAULT);
    let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
    let name = app.provisioner.container_of(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    if parameters.follow.unwrap_or(false) {
        let draining = app.draining.clone();
        let lines = match app.runtime.follow_logs(&name, &query).await {
            Err(RuntimeError::NotFound { .. }) => futures_util::stream::empty().boxed(),
            answer => answer?,
        };
        let text = until_gone(lines, app, name).take_until(draining.cancelled_owned());
        return Ok(Either::Other(Follow(Body::from_stream(text))));
    }
    let lines = match app.runtime.logs(&name, &query).await {
        // The tenant is there, its container is not (yet, or any more): it printed nothing.
        Err(RuntimeError::NotFound { .. }) => Vec::new(),
        answer => answer?,
    };
    Ok(Either::One(Json(Logs { logs: lines.into_iter().map(|line| line.text).collect() })))
}

/// Lines as text. Whatever the engine makes of it when a container goes away, the answer then ends and is not cut off: only
/// a reader of an answer that ends can tell the end of the container from the end of the engine.
fn until_gone(lines: LogStream, app: App, name: String) -> BoxStream<'static, Result<String, RuntimeError>> {
    let lines = stream::unfold(Some(lines), move |lines| {
        let (runtime, name) = (Arc::clone(&app.runtime), name.clone());
        async move {
            let mut lines = lines?;
            match lines.next().await? {
                Ok(line) => Some((Ok(format!("{}\n", line.text)), Some(lines))),
                Err(RuntimeError::NotFound { .. }) => None,
                Err(error) => match runtime.observe(&name).await {
                    Ok(seen) if seen.as_ref().is_none_or(|seen| seen.running().next().is_none()) => None,
                    _ => Some((Err(error), None)),
                },
            }
        }
    });
    lines.boxed()
}
