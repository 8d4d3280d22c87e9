//! `GET /api/v1/tenant/{tenant}/deployments`

use axum::Json;
use axum::extract::State;
use convergence_model::{RevisionNumber, Violation};
use convergence_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::view::DeploymentView;
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, TenantPath};
use crate::input::Query;

problems!(Refused: Absent, StoreError, Wrong);

const PAGE_DEFAULT: u32 = 20;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// At most so many, up to 100; 20 where absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Goes on after a page: its `nextCursor`, unchanged.
    #[param(pattern = "^r[0-9]{1,18}$")]
    cursor: Option<String>,
}

/// A page of a tenant's revisions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deployments {
    deployments: Vec<DeploymentView>,
    /// Present when there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The revisions of a tenant, newest first.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/deployments", tag = "deployment")]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Deployments>, Refused> {
    let scope = caller.scope();
    let before = parameters.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = parameters.limit.unwrap_or(PAGE_DEFAULT);
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    // One more than asked for tells whether there are more.
    let mut page = app.store.revisions(&scope, tenant.id, before, limit + 1).await?;
    let more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_cursor = page.last().filter(|_| more).map(|last| format!("r{}", last.number));
    let deployments = page.into_iter().map(|revision| DeploymentView::of(&tenant, revision)).collect();
    Ok(Json(Deployments { deployments, next_cursor }))
}

fn read_cursor(text: &str) -> Result<RevisionNumber, Wrong> {
    text.strip_prefix('r').and_then(|number| number.parse().ok()).map(RevisionNumber).ok_or_else(|| {
        Wrong(vec![Violation::deny("cursor", "bad-form", "use the `nextCursor` of an earlier page, unchanged")])
    })
}
