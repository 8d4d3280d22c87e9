//! `DELETE /api/v1/plugins/{id}`

use axum::extract::{Path, State};
use axum::http::StatusCode;
use convergence_plugin::Decision;

use crate::App;
use crate::extract::Authenticated;
use crate::problem::{Problem, ProblemDocument};

/// Forget a plugin: all its versions, everything that was decided about it, and its files in this server's plugins
/// folder. Tenants that were planned with it keep running.
#[utoipa::path(
    delete, path = "/api/v1/plugins/{id}", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "A file of it cannot be removed, and would bring it back."),
    )
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let caller = caller.administrator()?;
    app.catalogue.decide(&id, &Decision::Remove, caller.name()).await?;
    Ok(StatusCode::NO_CONTENT)
}
