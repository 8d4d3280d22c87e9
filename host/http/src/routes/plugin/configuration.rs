//! `PUT` and `DELETE /api/v1/plugins/{id}/configuration`

use axum::Json;
use axum::extract::State;
use convergence_model::Violation;
use convergence_plugin::{ChangeError, Decision};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::wire::{self, Plugin};
use crate::App;
use crate::document::problems;
use crate::document::refusal::Wrong;
use crate::extract::{Authenticated, PluginPath};
use crate::input::Body;

problems!(Refused: Wrong, ChangeError);

/// What a plugin is told: an object that satisfies the plugin's own schema.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(value_type = Object, example = json!({"cpu": {"maximum": 2}}))]
pub(crate) struct Configuration(Map<String, Value>);

/// Set the configuration of a plugin: an object that satisfies its schema. Wins over the server's configuration file.
#[utoipa::path(put, path = "/api/v1/plugins/{id}/configuration", tag = "plugin")]
pub(crate) async fn configure(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
    Body(Configuration(configuration)): Body<Configuration>,
) -> Result<Json<Plugin>, Refused> {
    let caller = caller.administrator();
    let decision = Decision::Configure(Some(Value::Object(configuration)));
    match app.catalogue.decide(&id, &decision, caller.name()).await {
        Ok(_) => Ok(Json(wire::find(&app, &id).await?.into())),
        Err(ChangeError::Refused(reason)) => {
            Err(Wrong(vec![Violation::deny("configuration", "invalid-configuration", reason)]).into())
        }
        Err(other) => Err(other.into()),
    }
}

/// Go back to what the server's configuration file says.
#[utoipa::path(delete, path = "/api/v1/plugins/{id}/configuration", tag = "plugin")]
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
) -> Result<Json<Plugin>, Refused> {
    Ok(wire::decide(&app, &caller, &id, Decision::Configure(None)).await?)
}
