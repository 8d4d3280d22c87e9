//! `POST /api/v1/plugins/{id}/enable` and `/disable`

use axum::Json;
use axum::extract::State;
use convergence_plugin::{ChangeError, Decision};

use super::wire::{self, Plugin};
use crate::App;
use crate::document::problems;
use crate::extract::{Authenticated, PluginPath};

problems!(Refused: ChangeError);

/// Enable a plugin, so that the server asks it again.
#[utoipa::path(post, path = "/api/v1/plugins/{id}/enable", tag = "plugin")]
pub(crate) async fn enable(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
) -> Result<Json<Plugin>, Refused> {
    Ok(wire::decide(&app, &caller, &id, Decision::Enable(true)).await?)
}

/// Disable a plugin, so that the server no longer asks it. A policy that is disabled lets everything pass.
#[utoipa::path(post, path = "/api/v1/plugins/{id}/disable", tag = "plugin")]
pub(crate) async fn disable(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
) -> Result<Json<Plugin>, Refused> {
    Ok(wire::decide(&app, &caller, &id, Decision::Enable(false)).await?)
}
