//! `PUT` and `DELETE /api/v1/plugins/{id}/configuration`

use axum::Json;
use axum::extract::{Path, State};
use convergence_model::Violation;
use convergence_plugin::{ChangeError, Decision};
use serde_json::{Map, Value};

use super::wire::{self, Plugin};
use crate::App;
use crate::extract::{Authenticated, Body};
use crate::problem::{Problem, ProblemDocument};

/// Set the configuration of a plugin: an object that satisfies its schema. Wins over the server's configuration file.
#[utoipa::path(
    put, path = "/api/v1/plugins/{id}/configuration", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    request_body(content = Object),
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "It does not satisfy the plugin's schema; nothing was changed."),
    )
)]
pub(crate) async fn configure(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
    Body(configuration): Body<Map<String, Value>>,
) -> Result<Json<Plugin>, Problem> {
    let caller = caller.administrator()?;
    let decision = Decision::Configure(Some(Value::Object(configuration)));
    match app.catalogue.decide(&id, &decision, caller.name()).await {
        Ok(_) => wire::find(&app, &id).await.map(|plugin| Json(plugin.into())),
        Err(ChangeError::Refused(reason)) => {
            Err(Problem::invalid(&[Violation::deny("configuration", "invalid-configuration", reason)]))
        }
        Err(other) => Err(other.into()),
    }
}

/// Go back to what the server's configuration file says.
#[utoipa::path(
    delete, path = "/api/v1/plugins/{id}/configuration", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "What the file says does not satisfy the plugin's schema; nothing was changed."),
    )
)]
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Plugin>, Problem> {
    wire::decide(&app, &caller, &id, Decision::Configure(None)).await
}
