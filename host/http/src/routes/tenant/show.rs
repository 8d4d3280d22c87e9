//! `GET /api/v1/tenant/{tenant}`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use convergence_model::Scope;
use convergence_model::tenant::Tenant;
use convergence_store::StoreError;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::plan::LimitsView;
use crate::App;
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, TenantPath};
use crate::routes::operation::show::FailureView;

problems!(Refused: Absent, StoreError);

/// A tenant as it was asked for, and what belongs to it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantDetail {
    env_id: i64,
    name: String,
    org_id: i64,
    /// What is stored: `provisioning`, `running`, `stopped`, `destroying` or `failed`. Its status asks the engine as well.
    status: String,
    /// Whether it is destroyed only when it is named again.
    protected: bool,
    /// The port on the host.
    port: u16,
    /// Where the application comes from: `starter`, `archive`, `git` or `image`.
    source: String,
    language: String,
    /// The framework that was asked for; absent where it was left to the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The image that was asked for instead of the template's.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_image: Option<String>,
    /// What it may use: policies may have made it less than what was asked for.
    limits: LimitsView,
    /// Variables of its own.
    env: BTreeMap<String, String>,
    /// Why it failed or was halted; absent while it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// Show a tenant: what it should be, and what belongs to it.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}", tag = "tenant")]
pub(crate) async fn show(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Json<TenantDetail>, Refused> {
    let scope = caller.scope();
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    Ok(Json(detail(&app, &scope, tenant).await?.ok_or(Absent("tenant"))?))
}

/// A tenant with what belongs to it; none where it is gone meanwhile.
pub(super) async fn detail(app: &App, scope: &Scope, tenant: Tenant) -> Result<Option<TenantDetail>, StoreError> {
    let Some(binding) = app.store.binding(scope, tenant.id).await? else { return Ok(None) };
    let revision = app.store.current_revision(scope, tenant.id).await?;
    let limits = revision.map_or(tenant.spec.limits, |revision| revision.limits);
    Ok(Some(TenantDetail {
        env_id: tenant.env_id.0,
        name: tenant.spec.name.to_string(),
        org_id: tenant.org.0,
        status: tenant.status.as_str().to_owned(),
        protected: tenant.protected,
        port: binding.port,
        source: tenant.spec.source.kind().to_owned(),
        language: tenant.spec.language,
        framework: tenant.spec.framework,
        description: tenant.spec.description,
        base_image: tenant.spec.base_image,
        limits: limits.into(),
        env: tenant.spec.env.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        failure: tenant.failure.map(FailureView::from),
        created_at: tenant.created_at,
    }))
}
