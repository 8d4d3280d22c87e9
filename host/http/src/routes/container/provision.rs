//! `POST /api/tenants/provision`

use std::collections::BTreeMap;

use axum::extract::State;
use convergence_model::operation::{Made, Operation, SpawnInput};
use convergence_model::{EnvId, ServiceSpec, Source, TenantSpec};
use convergence_provision::{AcceptError, Accepted};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::client::{name_of, url_of};
use super::outcome::Outcome;
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Absent, problems};
use crate::extract::Authenticated;
use crate::input::Body;
use crate::routes::tenant::wire::LimitsBody;

problems!(Refused: Absent, Wrong, AcceptError, Failed);

/// What a container runs that brings no image.
const LANGUAGE: &str = "node";
/// The image tag that those clients send to say that they bring none.
const DEFAULT_TAG: &str = "latest";

/// The container of a client organization.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "organizationId": "550e8400-e29b-41d4-a716-446655440001", "tenantName": "Acme Corp",
    "cpuLimit": 0.5, "memoryLimitMb": 512, "diskLimitMb": 2048, "imageTag": "latest"
}))]
pub(crate) struct ProvisionBody {
    /// The client organization, a UUID with hyphens. It has one container at most.
    #[schema(
        format = "uuid",
        pattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
    )]
    organization_id: String,
    /// What it is called, human-readable: 1 to 100 characters on one line.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    tenant_name: String,
    /// Cores in thousandths, for example 0.5; the server's default where absent.
    #[schema(minimum = 0.01, maximum = 4, multiple_of = 0.001)]
    cpu_limit: Option<f64>,
    /// MiB of memory; the server's default where absent.
    #[schema(minimum = 256, maximum = 8192)]
    memory_limit_mb: Option<u32>,
    /// MiB on disk; the server's default where absent.
    #[schema(minimum = 1024, maximum = 4294967295_u32)]
    disk_limit_mb: Option<u32>,
    /// An image that is built already and on the operator's allowlist, run as it is. `latest`, or nothing: the starter of the
    /// template `node`.
    #[schema(min_length = 1, max_length = 255)]
    image_tag: Option<String>,
}

/// The container of a client organization runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provisioned {
    /// Always `true`.
    success: bool,
    /// The id of the tenant that the container is of, a UUID. The engine's id is in the status.
    #[schema(format = "uuid")]
    container_id: String,
    container_name: String,
    /// The port on the host.
    external_port: u16,
    /// Where it answers, from the host.
    tenant_url: String,
    /// The path at which this server answers its Compose file.
    compose_path: String,
}

/// Build and run the container of a client organization.
///
/// Waits until it runs, as long as the server is configured to, then answers 201. Past that it answers 202 with the same fields
/// while the work goes on. A client organization has one container: another request for it is refused until that one is
/// terminated.
#[utoipa::path(post, path = "/api/tenants/provision", tag = "container")]
pub(crate) async fn provision(
    State(app): State<App>,
    caller: Authenticated,
    Body(body): Body<ProvisionBody>,
) -> Result<Outcome<201, Provisioned>, Refused> {
    let (org, scope) = caller.organization(None)?;
    let spec = spec(&app, body)?;
    let Accepted { operation, made, .. } = app.provisioner.spawn(&scope, &caller.0, org, spec, None).await?;
    // The tenant exists: whatever goes wrong with the waiting, the answer says which one it is.
    let operation = app.operations.outcome(operation.id, app.wait).await.unwrap_or_else(|error| {
        tracing::error!(%error, "cannot wait for the outcome of a spawn");
        operation
    });
    if let Some(failure) = operation.failure.clone().filter(|_| operation.state.is_final()) {
        return Err(Failed(operation.id, failure).into());
    }
    let made = made_by(&operation).or(made).ok_or(Absent("tenant"))?;
    let body = view(&app, &operation, &made).ok_or(Absent("tenant"))?;
    Ok(Outcome { operation, body })
}

/// The tenant that a client organization's container is of.
fn spec(app: &App, body: ProvisionBody) -> Result<TenantSpec, Wrong> {
    let mut wrong = Vec::new();
    let limits = LimitsBody::of(body.cpu_limit, body.memory_limit_mb, body.disk_limit_mb);
    let limits = limits.check(app.provisioner.default_limits(), &mut wrong);
    if !wrong.is_empty() {
        return Err(Wrong(wrong));
    }
    let image = body.image_tag.filter(|tag| tag != DEFAULT_TAG);
    let language = if image.is_some() { String::new() } else { LANGUAGE.to_owned() };
    Ok(TenantSpec {
        name: name_of(&body.organization_id)?,
        source: image.map_or(Source::Starter, Source::Image),
        language,
        framework: None,
        description: Some(body.tenant_name),
        base_image: None,
        limits,
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        service: ServiceSpec::default(),
    })
}

/// What a spawn that is over made: its port may be another one than when it was accepted.
fn made_by(operation: &Operation) -> Option<Made> {
    serde_json::from_value(operation.result.clone()?).ok()
}

/// None where the operation is no spawn.
fn view(app: &App, operation: &Operation, made: &Made) -> Option<Provisioned> {
    let SpawnInput { tenant } = operation.asked().ok()?;
    let env_id: EnvId = operation.env_id()?;
    Some(Provisioned {
        success: true,
        container_id: tenant.to_string(),
        container_name: app.provisioner.container_name(env_id),
        external_port: made.port,
        tenant_url: url_of(app, made.port),
        compose_path: format!("/api/v1/tenant/{env_id}/compose"),
    })
}
