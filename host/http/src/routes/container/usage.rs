//! `GET /api/tenants/{organizationId}/usage`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::client::{ClientPath, Unseen, report};
use crate::App;
use crate::extract::Authenticated;

/// What the container of a client organization uses.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContainerUsage {
    /// Always `true`.
    success: bool,
    /// Absent while no container runs, or the engine does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<ContainerMetrics>,
}

/// What a container uses, as it was measured a second ago at most.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerMetrics {
    /// Of one core.
    cpu_percent: f64,
    /// MiB of memory in use, the file cache that could be given back left out.
    memory_usage_mb: u64,
    /// MiB of memory that it may use.
    memory_limit_mb: u32,
}

/// What the container of a client organization uses.
#[utoipa::path(get, path = "/api/tenants/{organizationId}/usage", tag = "container")]
pub(crate) async fn usage(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Json<ContainerUsage>, Unseen> {
    let report = report(&app, &caller, &client).await?;
    let Some(usage) = report.usage else { return Ok(Json(ContainerUsage { success: true, metrics: None })) };
    let revision = app.store.current_revision(&caller.0.scope(), report.tenant.id).await?;
    let limits = revision.map_or(report.tenant.spec.limits, |revision| revision.limits);
    let metrics = ContainerMetrics {
        cpu_percent: (usage.cpu_percent * 100.0).round() / 100.0,
        memory_usage_mb: usage.memory_bytes / (1024 * 1024),
        memory_limit_mb: limits.memory_mb,
    };
    Ok(Json(ContainerUsage { success: true, metrics: Some(metrics) }))
}
