//! `DELETE /api/v1/keys/{id}`

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use convergence_model::SealingKeyId;
use convergence_provision::RotateError;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::App;
use crate::document::{Absent, Answers, Draft, NoContent, Part, problems};
use crate::extract::{Authenticated, Unknown};

problems!(Refused: RotateError);
problems!(NoKey: Unknown, Absent);

/// The key that the path names. It is not looked up here.
#[derive(Debug)]
pub(crate) struct KeyPath(SealingKeyId);

impl Part for KeyPath {
    fn describe(draft: &mut Draft) {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-f]{8}$"));
        draft.path("id", schema, "The id of the key.");
        NoKey::describe(draft);
    }
}

impl FromRequestParts<App> for KeyPath {
    type Rejection = NoKey;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoKey> {
        Authenticated::from_request_parts(parts, app).await?;
        let path = Path::<String>::from_request_parts(parts, app).await;
        let id = path.ok().and_then(|Path(id)| SealingKeyId::parse(&id));
        Ok(Self(id.ok_or(Absent("key"))?))
    }
}

/// Retire a key that no value is sealed with any more, so that it may be removed from the ring.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "key")]
pub(crate) async fn retire(
    State(app): State<App>,
    caller: Authenticated,
    KeyPath(id): KeyPath,
) -> Result<NoContent, Refused> {
    app.provisioner.retire_key(caller.administrator(), &id).await?;
    Ok(NoContent)
}
