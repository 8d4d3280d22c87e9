//! `POST /api/v1/plugins/{id}/rollback`

use axum::Json;
use axum::extract::State;
use convergence_model::Violation;
use convergence_plugin::{ChangeError, Decision};
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{self, Plugin};
use crate::App;
use crate::document::problems;
use crate::document::refusal::Wrong;
use crate::extract::{Authenticated, PluginPath};
use crate::input::Body;

problems!(Refused: Wrong, ChangeError);

/// Which version to use.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// One of the versions that are kept, by its number or by the beginning of its digest (`sha256:` and at least 8
    /// hexadecimal digits); the one that was in use before where absent.
    #[schema(
        max_length = 256,
        pattern = r"^(?:sha256:[0-9a-f]{8,64}|(?:0|[1-9][0-9]{0,17})(?:\.(?:0|[1-9][0-9]{0,17})){2}(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)$",
        example = "1.0.0"
    )]
    version: Option<String>,
}

/// Use another version of a plugin that is kept: the one before, or the one named. It stays until a version arrives that is
/// higher than all that are present; `/ready` shows it until then.
#[utoipa::path(post, path = "/api/v1/plugins/{id}/rollback", tag = "plugin")]
pub(crate) async fn rollback(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
    Body(wanted): Body<Rollback>,
) -> Result<Json<Plugin>, Refused> {
    let version = wanted.version.map(|text| {
        text.parse().map_err(|message: String| Wrong(vec![Violation::deny("version", "not-a-version", message)]))
    });
    Ok(wire::decide(&app, &caller, &id, Decision::Rollback(version.transpose()?)).await?)
}
