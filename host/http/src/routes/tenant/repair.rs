//! `POST /api/v1/tenant/{tenant}/repair`

use axum::extract::State;

use crate::App;
use crate::document::refusal::OfTenant;
use crate::document::{Accepted, problems};
use crate::extract::{Authenticated, TenantPath};
use crate::routes::operation::begun::{Begun, begun};

problems!(Refused: OfTenant);

/// Repair a tenant so that it matches its current revision.
///
/// The platform does so by itself where it finds a tenant's container gone, ended or changed. This is for a tenant it has
/// given up: one that failed because its app ended again and again, or because a repair did not work.
#[utoipa::path(post, path = "/api/v1/tenant/{tenant}/repair", tag = "tenant")]
pub(crate) async fn repair(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Accepted<Begun>, Refused> {
    Ok(begun(app.provisioner.repair(&caller.scope(), &caller, env_id).await.map_err(OfTenant)?))
}
