//! `POST /api/v1/tenant/{tenant}/scale`

use axum::Json;
use axum::extract::State;
use convergence_model::{Limits, Violation};
use convergence_provision::{Configured, DeployError, NewLimits};
use convergence_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::LimitsView;
use super::wire::LimitsBody;
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Absent, Accepted, Created, Either, problems};
use crate::extract::{Authenticated, Prefer, TenantPath};
use crate::input::{Drafted, Query, merged};
use crate::routes::deployment::begin::{answer, reason};
use crate::routes::deployment::view::{Deployed, Deploying};
use crate::routes::operation::waiting::Waiting;

problems!(Refused: Absent, Wrong, DeployError, StoreError, Failed);

/// The limits that are to be different. What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"limits": {"cpu": 1.5, "memoryMb": 1024}, "reason": "the sale begins"}))]
pub(crate) struct ScaleBody {
    limits: LimitsBody,
    /// Why, human-readable: at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// The limits that the tenant's next revision has, where none is needed now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Limited {
    success: bool,
    limits: LimitsView,
}

/// Change the limits of a tenant.
///
/// The app goes on running with its new limits where its template plans the same with them and the engine can; otherwise another
/// container of the same image takes its place, as a deployment does it. Of a tenant that is stopped they wait for its next
/// deployment. Less memory than the app uses is refused.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/scale", tag = "tenant")]
pub(crate) async fn scale(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(waiting): Query<Waiting>,
    prefer: Prefer,
    Drafted { body, wrong: told }: Drafted<ScaleBody>,
) -> Result<Either<Json<Limited>, Either<Created<Deployed>, Accepted<Deploying>>>, Refused> {
    let mut wrong: Vec<Violation> = Vec::new();
    let limits = body.limits.changed(&mut wrong);
    let reason = reason(body.reason).map_err(|Wrong(more)| wrong.extend(more)).unwrap_or_default();
    let wrong = merged(wrong, told);
    if !wrong.is_empty() {
        return Err(Wrong(wrong).into());
    }
    let scope = caller.scope();
    let deployed = match app.provisioner.scale(&scope, &caller, env_id, &limits, reason).await? {
        Configured::Deploying(deployed) => *deployed,
        Configured::Unchanged | Configured::Kept => {
            let wanted = app.provisioner.wanted(&scope, env_id).await?.ok_or(Absent("tenant"))?;
            return Ok(Either::One(Json(Limited { success: true, limits: wanted.spec.limits.into() })));
        }
    };
    let begun = answer::<Refused>(&app, &scope, env_id, deployed, waiting.patience(&prefer, &app)).await?;
    Ok(Either::Other(begun.answer?))
}

impl LimitsBody {
    /// Those that are given.
    fn changed(self, wrong: &mut Vec<Violation>) -> NewLimits {
        let given = (self.cpu.is_some(), self.memory_mb, self.disk_mb);
        if given == (false, None, None) {
            let message = "nothing is to be different; give `cpu`, `memoryMb` or `diskMb`";
            wrong.push(Violation::deny("limits", "required", message));
        }
        let checked = self.check(Limits::DEFAULT, wrong);
        NewLimits { cpu_millis: given.0.then_some(checked.cpu_millis), memory_mb: given.1, disk_mb: given.2 }
    }
}
