//! `GET /api/v1/tenant/{tenant}/status`

use axum::Json;
use axum::extract::State;
use convergence_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, TenantPath};
use crate::routes::operation::show::FailureView;

problems!(Refused: Absent, StoreError);

/// How a tenant is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    env_id: i64,
    name: String,
    /// `provisioning`, `running`, `stopped`, `destroying` or `failed`.
    status: String,
    container_name: String,
    /// The port on the host.
    port: u16,
    /// Seconds since its container started; absent while none runs.
    uptime: Option<u64>,
    /// Of one core, for example `12.5%`; absent while none runs.
    #[schema(example = "12.5%")]
    cpu_usage: Option<String>,
    /// For example `128MB`; absent while none runs.
    #[schema(example = "128MB")]
    memory_usage: Option<String>,
    /// Why it failed or was halted; absent while it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
}

/// How a tenant is.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/status", tag = "tenant")]
pub(crate) async fn status(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Json<Status>, Refused> {
    let report = app.provisioner.status(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    Ok(Json(Status {
        env_id: report.tenant.env_id.0,
        name: report.tenant.spec.name.to_string(),
        status: report.status.as_str().to_owned(),
        container_name: report.container_name,
        port: report.port,
        uptime: report.uptime.map(|uptime| uptime.as_secs()),
        cpu_usage: report.usage.as_ref().map(|usage| format!("{:.1}%", usage.cpu_percent)),
        failure: report.tenant.failure.map(FailureView::from),
        memory_usage: report.usage.as_ref().map(|usage| format!("{}MB", usage.memory_bytes / (1024 * 1024))),
    }))
}
