//! `POST /api/tenants/{organizationId}/scale`

use axum::Json;
use axum::extract::State;
use convergence_provision::{Configured, DeployError, NewLimits};
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::ToSchema;

use super::client::{ClientPath, NoContainer, find};
use super::outcome::Outcome;
use super::run::{ContainerRuns, over, runs, unchanged};
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Either, problems};
use crate::extract::Authenticated;
use crate::input::Body;
use crate::routes::tenant::wire::LimitsBody;

problems!(Refused: NoContainer, Wrong, DeployError, StoreError, Failed);

/// How much of a machine it may use. What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"cpuLimit": 1, "memoryLimitMb": 1024}))]
pub(crate) struct ContainerLimits {
    /// Cores in thousandths, for example 0.5.
    #[schema(minimum = 0.01, maximum = 4, multiple_of = 0.001)]
    cpu_limit: Option<f64>,
    /// MiB of memory.
    #[schema(minimum = 256, maximum = 8192)]
    memory_limit_mb: Option<u32>,
    /// MiB on disk.
    #[schema(minimum = 1024, maximum = 4294967295_u32)]
    disk_limit_mb: Option<u32>,
}

/// Change the limits of the container of a client organization, and wait until it runs with them. Of one that is
/// stopped they wait for its next deployment.
#[utoipa::path(post, path = "/api/tenants/{organizationId}/scale", tag = "container")]
pub(crate) async fn scale(
    State(app): State<App>,
    caller: Authenticated,
    ClientPath(client): ClientPath,
    Body(body): Body<ContainerLimits>,
) -> Result<Either<Outcome<200, ContainerRuns>, Json<ContainerRuns>>, Refused> {
    let limits = limits(&app, &body)?;
    let env_id = find(&app, &caller, &client).await?;
    let scaled = app.provisioner.scale(&caller.0.scope(), &caller.0, env_id, &limits, String::new()).await;
    match scaled? {
        Configured::Deploying(deployed) => {
            let operation = over::<Refused>(&app, deployed.operation.id).await?;
            Ok(Either::One(runs(&app, env_id, operation).await))
        }
        Configured::Unchanged | Configured::Kept => Ok(Either::Other(Json(unchanged(&app, env_id).await))),
    }
}

/// The limits that are to be different.
fn limits(app: &App, body: &ContainerLimits) -> Result<NewLimits, Wrong> {
    let mut wrong = Vec::new();
    let asked = LimitsBody::of(body.cpu_limit, body.memory_limit_mb, body.disk_limit_mb);
    let limits = asked.check(app.provisioner.default_limits(), &mut wrong);
    if !wrong.is_empty() {
        return Err(Wrong(wrong));
    }
    Ok(NewLimits {
        cpu_millis: body.cpu_limit.map(|_| limits.cpu_millis),
        memory_mb: body.memory_limit_mb,
        disk_mb: body.disk_limit_mb,
    })
}
