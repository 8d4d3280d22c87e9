//! `DELETE /api/v1/plugins/{id}`

use axum::extract::State;
use convergence_plugin::{ChangeError, Decision};

use crate::App;
use crate::document::{NoContent, problems};
use crate::extract::{Authenticated, PluginPath};

problems!(Refused: ChangeError);

/// Uninstall a plugin: delete all its versions, everything that was decided about it, and its files in this server's plugins
/// folder. Tenants that were planned with it keep running.
#[utoipa::path(delete, path = "/api/v1/plugins/{id}", tag = "plugin")]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
) -> Result<NoContent, Refused> {
    let caller = caller.administrator();
    app.catalogue.decide(&id, &Decision::Remove, caller.name()).await?;
    Ok(NoContent)
}
