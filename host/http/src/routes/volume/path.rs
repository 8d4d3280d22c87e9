//! What the path of a volume means.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use convergence_model::EnvId;
use convergence_model::name::NotATenant;

use crate::App;
use crate::document::{Answers, Draft, Part, problems, text};
use crate::extract::{Authenticated, NoTenant, TenantPath, Unknown, tenant};

/// What a volume can be called in an engine; what a template may call one is less.
const VOLUME: &str = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$";

problems!(NoVolume: Unknown, NoTenant);

/// The tenant and the text that the path has for a volume's name. Neither is looked up here: a text that no volume can be called
/// is no volume's.
#[derive(Debug, Clone)]
pub(crate) struct VolumePath(pub(super) EnvId, pub(super) String);

impl Part for VolumePath {
    fn describe(draft: &mut Draft) {
        TenantPath::describe(draft);
        let schema = text().pattern(Some(VOLUME)).min_length(Some(1));
        draft.path("name", schema.examples(["data"]), "The volume's name, as it is listed.");
        NoVolume::describe(draft);
    }
}

impl FromRequestParts<App> for VolumePath {
    type Rejection = NoVolume;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoVolume> {
        let caller = Authenticated::from_request_parts(parts, app).await?;
        let Path((text, name)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| NoTenant::from(NotATenant::new(parts.uri.path(), "the path is not percent-encoded UTF-8")))?;
        Ok(Self(tenant(app, &caller, &text).await?, name))
    }
}
