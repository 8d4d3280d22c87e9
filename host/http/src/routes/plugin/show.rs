//! `GET /api/v1/plugins/{id}`

use axum::Json;
use axum::extract::{Path, State};

use super::wire::{self, Plugin};
use crate::App;
use crate::extract::Authenticated;
use crate::problem::{Problem, ProblemDocument};

/// One installed plugin.
#[utoipa::path(
    get, path = "/api/v1/plugins/{id}", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
    )
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Plugin>, Problem> {
    caller.administrator()?;
    wire::find(&app, &id).await.map(|plugin| Json(plugin.into()))
}
