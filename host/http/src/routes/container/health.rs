//! `GET /api/tenants/{organizationId}/health` and `GET /api/tenants/health-check`
//!
//! Nothing is asked of the apps here: the engine checks them all the time, and this says what it found.

use axum::Json;
use axum::extract::State;
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Scope};
use convergence_provision::Report;
use convergence_runtime::HealthStatus;
use convergence_store::{StoreError, TenantQuery};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::client::{ClientPath, NoContainer, Unseen, is_client, report};
use crate::App;
use crate::extract::Authenticated;

/// Tenants that are read at a time.
const PAGE: u32 = 100;
/// Containers that the engine is asked about at the same time.
const AT_ONCE: usize = 8;

/// Whether the container of a client organization is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContainerHealth {
    /// Always `true`: the health is known, whatever it is.
    success: bool,
    healthy: bool,
    /// Why it is not healthy; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// Whether the containers of all client organizations are well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContainersHealth {
    /// Always `true`.
    success: bool,
    /// Oldest first.
    results: Vec<ContainerHealthResult>,
}

/// Whether one of them is well.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerHealthResult {
    #[schema(format = "uuid")]
    organization_id: String,
    container_name: String,
    healthy: bool,
    /// Why it is not healthy; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
}

/// Whether the container of a client organization is well, as the engine's health check found it last.
#[utoipa::path(get, path = "/api/tenants/{organizationId}/health", tag = "container")]
pub(crate) async fn health(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Json<ContainerHealth>, Unseen> {
    let error = ill(&report(&app, &caller, &client).await?);
    Ok(Json(ContainerHealth { success: true, healthy: error.is_none(), error }))
}

/// Whether the containers of all client organizations are well. Tenants that are not named by a UUID are left out.
#[utoipa::path(get, path = "/api/tenants/health-check", tag = "container")]
pub(crate) async fn health_check(
    State(app): State<App>,
    caller: Authenticated,
) -> Result<Json<ContainersHealth>, Unseen> {
    let (org, scope) = caller.organization(None).map_err(NoContainer::from)?;
    let (mut results, mut after) = (Vec::new(), None);
    loop {
        let page = app.store.tenants(&scope, TenantQuery { org: Some(org), after, limit: PAGE }).await?;
        after = page.last().map(|(tenant, _)| tenant.env_id);
        let clients = page.into_iter().map(|(tenant, _)| tenant).filter(|tenant| is_client(tenant.spec.name.as_str()));
        let clients: Vec<EnvId> = clients.map(|tenant| tenant.env_id).collect();
        let checks: Vec<_> = clients.into_iter().map(|env_id| check(&app, &scope, env_id)).collect();
        let checked: Vec<_> = stream::iter(checks).buffered(AT_ONCE).try_collect().await?;
        results.extend(checked.into_iter().flatten());
        if after.is_none() {
            return Ok(Json(ContainersHealth { success: true, results }));
        }
    }
}

/// None where it is gone meanwhile.
async fn check(app: &App, scope: &Scope, env_id: EnvId) -> Result<Option<ContainerHealthResult>, StoreError> {
    let report = app.provisioner.status(scope, env_id).await?;
    Ok(report.map(|report| {
        let error = ill(&report);
        ContainerHealthResult {
            organization_id: report.tenant.spec.name.to_string(),
            container_name: report.container_name,
            healthy: error.is_none(),
            error,
        }
    }))
}

/// Why a container is not healthy. One that runs was ready when it came up, and stays healthy until a check finds otherwise.
fn ill(report: &Report) -> Option<&'static str> {
    match (report.status, word(report)) {
        (TenantStatus::Running, _) if report.uptime.is_none() => {
            Some("the engine does not answer, so whether the container is healthy is unknown")
        }
        (TenantStatus::Running, "unhealthy") => Some("the container runs, and its health check fails"),
        (TenantStatus::Running, _) => None,
        _ => Some("the container is not running"),
    }
}

/// What the container's health check says.
pub(super) fn word(report: &Report) -> &'static str {
    let running = report.container.filter(|_| report.uptime.is_some());
    match running.and_then(|container| container.health) {
        Some(HealthStatus::Healthy) => "healthy",
        Some(HealthStatus::Starting) => "starting",
        Some(HealthStatus::Unhealthy) => "unhealthy",
        None => "unknown",
    }
}
