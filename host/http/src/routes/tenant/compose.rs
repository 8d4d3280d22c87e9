//! `GET /api/v1/tenant/{tenant}/compose`

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::extract::{Authenticated, TenantPath};
use crate::problem::{Problem, ProblemDocument};

/// The Compose file that runs the same container. Secrets appear as `${NAME}`: set them before bringing it up.
#[utoipa::path(
    get, path = "/api/v1/tenant/{tenant}/compose", tag = "tenant",
    params(("tenant" = String, Path, description = "The tenant's number or name.")),
    responses(
        (status = 200, body = String, content_type = "application/yaml"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such tenant, or it is not built yet."),
    )
)]
pub(crate) async fn compose(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Response, Problem> {
    let text = app.provisioner.compose(&caller.scope(), env_id).await?.ok_or_else(|| Problem::no_such("tenant"))?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response())
}
