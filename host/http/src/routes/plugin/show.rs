//! `GET /api/v1/plugins/{id}`

use axum::Json;
use axum::extract::State;
use convergence_plugin::ChangeError;

use super::wire::{self, Plugin};
use crate::App;
use crate::document::problems;
use crate::extract::{Authenticated, PluginPath};

problems!(Refused: ChangeError);

/// Show an installed plugin.
#[utoipa::path(get, path = "/api/v1/plugins/{id}", tag = "plugin")]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
) -> Result<Json<Plugin>, Refused> {
    caller.administrator();
    Ok(Json(wire::find(&app, &id).await?.into()))
}
