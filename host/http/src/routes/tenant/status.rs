//! `GET /api/v1/tenant/{tenant}/status`

use axum::Json;
use axum::extract::State;
use convergence_runtime::HealthStatus;
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
    /// When both were measured, in RFC 3339: a second ago at most. The processor's use is that since the sample before.
    #[schema(value_type = Option<String>, format = DateTime)]
    measured_at: Option<jiff::Timestamp>,
    /// `starting`, `healthy` or `unhealthy`, as its container's own health check says; absent while none runs.
    health: Option<&'static str>,
    /// How often the engine started the app again since its container was made; absent where there is no container.
    restarts: Option<u64>,
    /// How the app ended last; absent where it never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_end: Option<LastEnd>,
    /// Why it failed or was halted; absent while it is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView>,
}

/// A health, as it is sent.
fn word(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Healthy => "healthy",
        HealthStatus::Starting => "starting",
        HealthStatus::Unhealthy => "unhealthy",
    }
}

/// How an app ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LastEnd {
    /// Absent where the engine did not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    /// Whether the kernel killed it for using more memory than its limit.
    out_of_memory: bool,
    /// When, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<jiff::Timestamp>,
}

/// How a tenant is.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/status", tag = "tenant")]
pub(crate) async fn status(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Json<Status>, Refused> {
    let report = app.provisioner.status(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    let runs = report.uptime.is_some();
    Ok(Json(Status {
        env_id: report.tenant.env_id.0,
        name: report.tenant.spec.name.to_string(),
        status: report.status.as_str().to_owned(),
        container_name: report.container_name,
        port: report.port,
        uptime: report.uptime.map(|uptime| uptime.as_secs()),
        cpu_usage: report.usage.as_ref().map(|usage| format!("{:.1}%", usage.cpu_percent)),
        health: report.container.and_then(|container| container.health).filter(|_| runs).map(word),
        restarts: report.container.map(|container| container.restarts),
        last_end: report.container.and_then(|container| container.last_end).map(|end| LastEnd {
            exit_code: end.code,
            out_of_memory: end.oom,
            at: end.at,
        }),
        measured_at: report.usage.as_ref().map(|usage| usage.at),
        failure: report.tenant.failure.map(FailureView::from),
        memory_usage: report.usage.as_ref().map(|usage| format!("{}MB", usage.memory_bytes / (1024 * 1024))),
    }))
}
