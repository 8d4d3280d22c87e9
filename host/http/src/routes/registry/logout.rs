//! `DELETE /api/v1/registries/{host}`

use axum::extract::State;
use convergence_model::RegistryHost;
use convergence_store::StoreError;

use super::path::{HostPath, Parameters};
use crate::App;
use crate::document::{Absent, NoContent, problems};
use crate::extract::Authenticated;
use crate::input::Query;

problems!(Refused: Absent, StoreError);

/// Log out of a registry: its images are pulled as nobody from then on. What was built from them stays.
#[utoipa::path(delete, path = "/api/v1/registries/{host}", tag = "registry")]
pub(crate) async fn logout(
    State(app): State<App>,
    caller: Authenticated,
    HostPath(host): HostPath,
    Query(parameters): Query<Parameters>,
) -> Result<NoContent, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    let host = RegistryHost::parse(&host).map_err(|_| Absent("registry"))?;
    if !app.provisioner.log_out(&scope, &caller.0, org, &host).await? {
        return Err(Absent("registry").into());
    }
    Ok(NoContent)
}
