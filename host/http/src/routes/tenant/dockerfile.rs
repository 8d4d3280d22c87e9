//! `GET /api/v1/tenant/{tenant}/dockerfile`

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::extract::{Authenticated, TenantPath};
use crate::problem::{Problem, ProblemDocument};

/// The Dockerfile that a tenant's image was built from.
#[utoipa::path(
    get, path = "/api/v1/tenant/{tenant}/dockerfile", tag = "tenant",
    params(("tenant" = String, Path, description = "The tenant's number or name.")),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "There is no such tenant, or it is not built yet."),
    )
)]
pub(crate) async fn dockerfile(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Response, Problem> {
    let scope = caller.scope();
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or_else(|| Problem::no_such("tenant"))?;
    let revision = app.store.latest_revision(&scope, tenant.id).await?;
    let built = revision
        .and_then(|revision| revision.built)
        .ok_or_else(|| Problem::no_such("image: the tenant is not built yet"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], built.dockerfile).into_response())
}
