//! `GET /api/v1/tenant/{tenant}/deployments/{revision}`

use axum::Json;
use axum::extract::State;
use convergence_store::StoreError;

use super::path::RevisionPath;
use super::view::DeploymentView;
use crate::App;
use crate::document::{Absent, problems};
use crate::extract::Authenticated;

problems!(Refused: Absent, StoreError);

/// Show a revision of a tenant.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/deployments/{revision}", tag = "deployment")]
pub(crate) async fn show(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RevisionPath(env_id, number): RevisionPath,
) -> Result<Json<DeploymentView>, Refused> {
    let scope = caller.scope();
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    let revision = app.store.revision(&scope, tenant.id, number).await?.ok_or(Absent("revision"))?;
    Ok(Json(DeploymentView::of(&tenant, revision)))
}
