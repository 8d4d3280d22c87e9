//! `GET /api/v1/sources/{digest}`

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use convergence_model::SourceDigest;
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::IntoParams;

use super::SourceView;
use super::refusal::Unreadable;
use crate::App;
use crate::document::{Absent, Answers, Draft, Part, problems, text};
use crate::extract::Authenticated;
use crate::input::Query;

problems!(Refused: Absent, StoreError, Unreadable);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The organization; the caller's own where absent.
    org_id: Option<i64>,
}

/// The source named in the path.
#[derive(Debug)]
pub(crate) struct DigestPath(SourceDigest);

problems!(NoSource: Absent);

impl Part for DigestPath {
    fn describe(draft: &mut Draft) {
        let schema = text().pattern(Some("^sha256:[0-9a-f]{64}$"));
        draft.path("digest", schema, "The digest of a source.");
        NoSource::describe(draft);
    }
}

impl FromRequestParts<App> for DigestPath {
    type Rejection = NoSource;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoSource> {
        let path = Path::<String>::from_request_parts(parts, app).await;
        Ok(path.ok().and_then(|path| path.0.parse().ok()).map(Self).ok_or(Absent("source"))?)
    }
}

/// Show a source that the organization uploaded, while it is kept. One that is need not be uploaded again.
#[utoipa::path(get, path = "/api/v1/sources/{digest}", tag = "source")]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Authenticated,
    DigestPath(digest): DigestPath,
    Query(parameters): Query<Parameters>,
) -> Result<Json<SourceView>, Refused> {
    let (org, _) = caller.organization(parameters.org_id)?;
    if !app.store.has_source(org, &digest).await? {
        return Err(Absent("source").into());
    }
    let kept = app.sources.get(&digest).await.map_err(Unreadable)?.ok_or(Absent("source"))?;
    Ok(Json(SourceView { digest: digest.to_string(), bytes: kept.bytes(), files: kept.files() }))
}
