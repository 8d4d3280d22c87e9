//! `POST /api/v1/plugins/{id}/enable` and `/disable`

use axum::Json;
use axum::extract::{Path, State};
use convergence_plugin::Decision;

use super::wire::{self, Plugin};
use crate::App;
use crate::extract::Authenticated;
use crate::problem::{Problem, ProblemDocument};

/// Ask a plugin again.
#[utoipa::path(
    post, path = "/api/v1/plugins/{id}/enable", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It would not work, for example because another template serves its language."),
    )
)]
pub(crate) async fn enable(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Plugin>, Problem> {
    wire::decide(&app, &caller, &id, Decision::Enable(true)).await
}

/// Ask a plugin no longer. A policy that is disabled lets everything pass.
#[utoipa::path(
    post, path = "/api/v1/plugins/{id}/disable", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
    )
)]
pub(crate) async fn disable(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Plugin>, Problem> {
    wire::decide(&app, &caller, &id, Decision::Enable(false)).await
}
