//! `GET /api/v1/operations`

use axum::Json;
use axum::extract::State;
use convergence_model::operation::{OperationState, Subject};
use convergence_model::{EnvId, OperationId, Violation};
use convergence_store::{OperationQuery, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::show::OperationView;
use crate::App;
use crate::document::problems;
use crate::document::refusal::Wrong;
use crate::extract::{Authenticated, NoTenant, tenant};
use crate::input::Query;

problems!(Refused: NoTenant, StoreError, Wrong);

const PAGE_DEFAULT: u32 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// Only those of this tenant: its number or name.
    #[param(
        max_length = 100,
        pattern = r"^(?:0|[1-9][0-9]{0,17}|(?![0-9]+$)[A-Za-z0-9](?:(?:\.?[A-Za-z0-9 _-])*\.?[A-Za-z0-9])?)$"
    )]
    tenant: Option<String>,
    /// Only those of the tenant with this number, which may be gone. With `tenant`, only those that are of both.
    env_id: Option<i64>,
    /// Only those in this state: `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled` or `stuck`.
    #[param(pattern = "^(?:queued|running|waiting|succeeded|failed|cancelled|stuck)$", example = "stuck")]
    state: Option<String>,
    /// At most so many, up to 1000; 100 where absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Goes on after a page: its `nextCursor`, unchanged.
    #[param(pattern = "^o[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
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
#[utoipa::path(get, path = "/api/v1/operations", tag = "operation")]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Authenticated,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Operations>, Refused> {
    let env_id = match (&parameters.tenant, parameters.env_id) {
        (Some(text), number) => {
            let meant = tenant(&app, &caller, text).await?;
            if number.is_some_and(|number| EnvId(number) != meant) {
                return Ok(Json(Operations { operations: Vec::new(), next_cursor: None }));
            }
            Some(meant)
        }
        (None, number) => number.map(EnvId),
    };
    let state = parameters.state.as_deref().map(read_state).transpose()?;
    let before = parameters.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = parameters.limit.unwrap_or(PAGE_DEFAULT);
    // One more than asked for tells whether there are more.
    let subject = env_id.map(Subject::tenant);
    let query = OperationQuery { subject, state, before, limit: limit + 1 };
    let mut page = app.store.operations(&caller.0.scope(), query).await?;
    let more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_cursor = page.last().filter(|_| more).map(|last| format!("o{}", last.id));
    Ok(Json(Operations { operations: page.into_iter().map(OperationView::from).collect(), next_cursor }))
}

fn read_state(text: &str) -> Result<OperationState, Wrong> {
    OperationState::parse(text).ok_or_else(|| {
        let message = "use queued, running, waiting, succeeded, failed, cancelled or stuck";
        Wrong(vec![Violation::deny("state", "unknown", message)])
    })
}

fn read_cursor(text: &str) -> Result<OperationId, Wrong> {
    text.strip_prefix('o').and_then(|id| id.parse().ok()).ok_or_else(|| {
        Wrong(vec![Violation::deny("cursor", "bad-form", "use the `nextCursor` of an earlier page, unchanged")])
    })
}
