//! `POST /api/v1/tenant/{tenant}/deployments/{revision}/rollback`

use axum::extract::State;
use convergence_provision::DeployError;
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::ToSchema;

use super::begin::{Answer, answer, reason};
use super::path::RevisionPath;
use crate::App;
use crate::document::refusal::{Failed, Wrong};
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, Prefer};
use crate::idempotency::{IdempotencyKey, NotWritten};
use crate::input::{Body, Query};
use crate::routes::operation::waiting::Waiting;

problems!(Refused: Absent, Wrong, DeployError, StoreError, NotWritten, Failed);

/// Why an earlier revision is restored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackBody {
    /// Human-readable, at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// Restore an earlier revision: its image, limits and variables, without building anything.
///
/// It becomes a new revision with a number of its own. Policies may refuse it, or tighten its limits.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/deployments/{revision}/rollback", tag = "deployment")]
pub(crate) async fn rollback(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RevisionPath(env_id, number): RevisionPath,
    Query(waiting): Query<Waiting>,
    key: IdempotencyKey,
    prefer: Prefer,
    Body(body): Body<RollbackBody>,
) -> Result<Answer<Refused>, Refused> {
    let scope = caller.scope();
    let reason = reason(body.reason)?;
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    let asked = (env_id, number, &reason);
    let idempotency = key.of("POST /api/v1/tenant/{tenant}/deployments/{revision}/rollback", tenant.org, &asked)?;
    let deployed = app.provisioner.rollback(&scope, &caller, env_id, number, reason, idempotency).await?;
    answer(&app, &scope, env_id, deployed, waiting.patience(&prefer, &app)).await
}
