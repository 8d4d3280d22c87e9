//! `GET /api/v1/templates`

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::extract::Authenticated;

/// The installed language templates.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Templates {
    templates: Vec<Template>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Template {
    /// The component's id.
    id: String,
    version: String,
    /// `sha256:…` of the component.
    digest: String,
    summary: String,
    languages: Vec<Language>,
}

/// A language it offers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Language {
    /// What a spawn gives as `language`.
    name: String,
    /// What a spawn may give as `framework`; the first is the default.
    frameworks: Vec<String>,
    versions: Vec<String>,
    /// Base images its plans may use.
    images: Vec<String>,
}

/// What languages there are, and which component offers each.
#[utoipa::path(get, path = "/api/v1/templates", tag = "template")]
pub(crate) async fn list(State(app): State<App>, _caller: Authenticated) -> Json<Templates> {
    let templates = app.catalogue.snapshot().templates().into_iter().map(|template| Template {
        id: template.id,
        version: template.version,
        digest: template.digest,
        summary: template.summary,
        languages: template
            .languages
            .into_iter()
            .map(|language| Language {
                name: language.name,
                frameworks: language.frameworks,
                versions: language.versions,
                images: language.images,
            })
            .collect(),
    });
    Json(Templates { templates: templates.collect() })
}
