//! `GET /api/v1/operations`

use axum::Json;
use axum::extract::State;
use convergence_model::operation::{OperationState, Subject};
use convergence_model::{EnvId, OperationId, Violation};
use convergence_store::OperationQuery;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::show::OperationView;
use crate::App;
use crate::extract::{Authenticated, Query, tenant};
use crate::problem::{Problem, ProblemDocument};

const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// Only those of this tenant: its number or name.
    tenant: Option<String>,
    /// Only those of the tenant with this number, which may be gone.
    env_id: Option<i64>,
    /// Only those in this state, for example `stuck`.
    state: Option<String>,
    /// At most so many, up to 1000; 100 where absent.
    limit: Option<u32>,
    /// Goes on after a page: its `nextCursor`.
    cursor: Option<String>,
}

/// A page of operations.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operations {
    operations: Vec<OperationView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What was done and is being done, newest first.
#[utoipa::path(
    get, path = "/api/v1/operations", tag = "operation", params(Parameters),
    responses(
        (status = 200, body = Operations),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No tenant has that name."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "A parameter is wrong."),
    )
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Operations>, Problem> {
    let env_id = match (&parameters.tenant, parameters.env_id) {
        (Some(_), Some(_)) => {
            let message = "`tenant` and `env_id` say the same; send one of them";
            return Err(Problem::invalid(&[Violation::deny("env_id", "conflict", message)]));
        }
        (Some(text), None) => Some(tenant(&app, &caller, text).await?),
        (None, number) => number.map(EnvId),
    };
    let state = parameters.state.as_deref().map(read_state).transpose()?;
    let before = parameters.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = parameters.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    // One more than asked for tells whether there are more.
    let subject = env_id.map(Subject::tenant);
    let query = OperationQuery { subject, state, before, limit: limit + 1 };
    let mut page = app.store.operations(&caller.0.scope(), query).await?;
    let more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_cursor = page.last().filter(|_| more).map(|last| format!("o{}", last.id));
    Ok(Json(Operations { operations: page.into_iter().map(OperationView::from).collect(), next_cursor }))
}

fn read_state(text: &str) -> Result<OperationState, Problem> {
    OperationState::parse(text).ok_or_else(|| {
        let message = "use queued, running, waiting, succeeded, failed, cancelled or stuck";
        Problem::invalid(&[Violation::deny("state", "unknown", message)])
    })
}

fn read_cursor(text: &str) -> Result<OperationId, Problem> {
    text.strip_prefix('o').and_then(|id| id.parse().ok()).ok_or_else(|| {
        Problem::invalid(&[Violation::deny("cursor", "bad-form", "use the `nextCursor` of an earlier page, unchanged")])
    })
}
