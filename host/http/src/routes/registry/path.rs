//! What the path of a registry means.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;
use crate::document::{Absent, Answers, Draft, Part, problems, text};
use crate::extract::{Authenticated, Unknown};

/// A host as images name it, as `RegistryHost` checks it.
const HOST: &str = concat!(
    r"^(?!index\.docker\.io$)",
    r"(?:localhost|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+|",
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*:",
    r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))$"
);

problems!(NoRegistry: Unknown, Absent);

/// The text that the path has for a registry's host.
#[derive(Debug)]
pub(crate) struct HostPath(pub(super) String);

impl Part for HostPath {
    fn describe(draft: &mut Draft) {
        let schema = text().pattern(Some(HOST)).max_length(Some(253)).examples(["registry.example:5000"]);
        draft.path(
            "host",
            schema,
            "The registry's host as images name it: `name` or `name:port`; Docker Hub is `docker.io`.",
        );
        NoRegistry::describe(draft);
    }
}

impl FromRequestParts<App> for HostPath {
    type Rejection = NoRegistry;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoRegistry> {
        Authenticated::from_request_parts(parts, app).await?;
        let path = Path::<String>::from_request_parts(parts, app).await;
        Ok(path.ok().map(|Path(host)| Self(host)).ok_or(Absent("registry"))?)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization; the caller's own where absent.
    pub(super) org_id: Option<i64>,
}
