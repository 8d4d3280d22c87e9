//! `GET /api/v1/tenant/{tenant}/deployments/{revision}/diff`

use axum::Json;
use axum::extract::State;
use convergence_model::RevisionNumber;
use convergence_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::path::RevisionPath;
use crate::App;
use crate::document::{Absent, problems};
use crate::extract::Authenticated;
use crate::input::Query;
use crate::routes::source::refusal::Unreadable;

problems!(Refused: Absent, StoreError, Unreadable);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The revision to compare with; the newest earlier one that ran where absent.
    #[param(minimum = 1)]
    from: Option<u32>,
}

/// What is different in a revision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    /// The revision it is compared with; absent where none ran before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    to: i64,
    changes: Vec<ChangeView>,
    /// Files of the source: `+` added, `-` removed, `~` edited. Absent where one of the sources is no archive, or is not kept any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<String>>,
    /// The same, human-readable: one change a line.
    text: String,
}

/// One thing that is different.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeView {
    /// For example `limits.memoryMb`.
    field: String,
    /// Absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    /// Absent where there is nothing any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// Show what is different in a revision: source, plan, image, limits, names of variables. Values of variables are never
/// told.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/deployments/{revision}/diff", tag = "deployment")]
pub(crate) async fn diff(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    RevisionPath(env_id, number): RevisionPath,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Difference>, Refused> {
    let scope = caller.scope();
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    let to = app.store.revision(&scope, tenant.id, number).await?.ok_or(Absent("revision"))?;
    let from = match parameters.from {
        Some(from) => {
            let from = RevisionNumber(from.into());
            Some(app.store.revision(&scope, tenant.id, from).await?.ok_or(Absent("revision"))?)
        }
        None => app.store.ran_before(&scope, tenant.id, number).await?,
    };
    let changes = convergence_provision::changes(from.as_ref(), &to);
    let files = app.provisioner.file_changes(from.as_ref(), &to).await.map_err(Unreadable)?;
    let text: String = changes
        .iter()
        .map(ToString::to_string)
        .chain(files.iter().flatten().cloned())
        .fold(String::new(), |text, line| text + &line + "\n");
    let changes = changes
        .into_iter()
        .map(|change| ChangeView { field: change.field, before: change.before, after: change.after })
        .collect();
    Ok(Json(Difference { from: from.map(|from| from.number.0), to: number.0, changes, files, text }))
}
