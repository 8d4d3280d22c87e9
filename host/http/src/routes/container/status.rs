//! `GET /api/tenants/{organizationId}/status`

use axum::Json;
use axum::extract::State;
use convergence_model::tenant::TenantStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::client::{ClientPath, Unseen, engine_id, report, url_of};
use super::health::word;
use crate::App;
use crate::extract::Authenticated;

/// How the container of a client organization is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerStatus {
    /// Always `true`.
    success: bool,
    running: bool,
    /// `provisioning`, `running`, `stopped`, `destroying` or `failed`.
    status: String,
    /// `starting`, `healthy`, `unhealthy` or `unknown`.
    health_status: &'static str,
    /// The engine's id of the container; absent where there is none, or the engine does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
    container_name: String,
    tenant_name: String,
    /// The port on the host.
    external_port: u16,
    /// Where it answers, from the host.
    tenant_url: String,
}

/// How the container of a client organization is.
#[utoipa::path(get, path = "/api/tenants/{organizationId}/status", tag = "container")]
pub(crate) async fn status(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
) -> Result<Json<ContainerStatus>, Unseen> {
    let report = report(&app, &caller, &client).await?;
    Ok(Json(ContainerStatus {
        success: true,
        running: report.status == TenantStatus::Running,
        status: report.status.as_str().to_owned(),
        health_status: word(&report),
        container_id: engine_id(&app, &report.container_name).await,
        tenant_name: report.tenant.spec.description.clone().unwrap_or_else(|| report.tenant.spec.name.to_string()),
        external_port: report.port,
        tenant_url: url_of(&app, report.port),
        container_name: report.container_name,
    }))
}
