//! The revision that a path means.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use convergence_model::name::NotATenant;
use convergence_model::{EnvId, RevisionNumber};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::App;
use crate::document::{Absent, Answers, Draft, Part, problems};
use crate::extract::{Authenticated, NoTenant, TenantPath, Unknown, tenant};

/// The tenant and the number of its revision that the path names. Neither is looked up here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RevisionPath(pub(crate) EnvId, pub(crate) RevisionNumber);

problems!(NoRevision: Unknown, NoTenant, Absent);

impl Part for RevisionPath {
    fn describe(draft: &mut Draft) {
        TenantPath::describe(draft);
        let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(i64::MAX));
        draft.path("revision", schema, "The number of the revision.");
        NoRevision::describe(draft);
    }
}

impl FromRequestParts<App> for RevisionPath {
    type Rejection = NoRevision;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoRevision> {
        let caller = Authenticated::from_request_parts(parts, app).await?;
        let Path((text, number)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| NoTenant::from(NotATenant::new(parts.uri.path(), "the path is not percent-encoded UTF-8")))?;
        let env_id = tenant(app, &caller, &text).await?;
        // Every number that names nothing is the same 404, whether it could have been one or not.
        let is_number = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|_| is_number).ok_or(Absent("revision"))?;
        Ok(Self(env_id, RevisionNumber(number)))
    }
}
