//! `POST /api/v1/plugins/{id}/rollback`

use axum::Json;
use axum::extract::{Path, State};
use convergence_model::Violation;
use convergence_plugin::Decision;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{self, Plugin};
use crate::App;
use crate::extract::{Authenticated, Body};
use crate::problem::{Problem, ProblemDocument};

/// Which version to use.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// One of the versions that are kept; the one that was in use before where absent.
    version: Option<String>,
}

/// Use another version of a plugin that is kept: the one before, or the one named. It stays until a version that is
/// higher than any before turns up.
#[utoipa::path(
    post, path = "/api/v1/plugins/{id}/rollback", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    request_body = Rollback,
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such version, or it would not work with the plugin's configuration."),
    )
)]
pub(crate) async fn rollback(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
    Body(wanted): Body<Rollback>,
) -> Result<Json<Plugin>, Problem> {
    let version = wanted.version.map(|text| {
        text.parse().map_err(|error| {
            let message = format!("{text:?} is not a semantic version: {error}");
            Problem::invalid(&[Violation::deny("version", "not-a-version", message)])
        })
    });
    wire::decide(&app, &caller, &id, Decision::Rollback(version.transpose()?)).await
}
