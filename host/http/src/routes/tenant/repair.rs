//! `POST /api/v1/tenant/{tenant}/repair`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::App;
use crate::extract::{Authenticated, TenantPath};
use crate::problem::{Problem, ProblemDocument};
use crate::routes::operation::show::OperationView;

/// Bring a tenant back to what its revision says.
///
/// The platform does so by itself where it finds a tenant's container gone, ended or changed. This is for a tenant it has
/// given up: one that failed because its app ended again and again, or because a repair did not work.
#[utoipa::path(
    post, path = "/api/v1/tenant/{tenant}/repair", tag = "tenant",
    params(("tenant" = String, Path, description = "The tenant's number or name.")),
    responses(
        (status = 202, body = OperationView, description = "It is accepted; watch the operation."),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such tenant, or it neither runs nor failed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "Something else is being done to it."),
    )
)]
pub(crate) async fn repair(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<(StatusCode, Json<OperationView>), Problem> {
    let operation = app.provisioner.repair(&caller.scope(), &caller, env_id).await;
    let operation = operation.map_err(|error| Problem::of_request("tenant", error))?;
    Ok((StatusCode::ACCEPTED, Json(operation.into())))
}
