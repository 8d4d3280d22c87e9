//! `GET /api/v1/tenant/{tenant}/dockerfile`

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use convergence_store::StoreError;
use utoipa::openapi::Content;

use crate::App;
use crate::document::{Absent, Answers, Draft, problems, text};
use crate::extract::{Authenticated, TenantPath};

problems!(Refused: Absent, StoreError);

/// The text of a Dockerfile.
#[derive(Debug)]
pub(crate) struct Dockerfile(String);

impl Answers for Dockerfile {
    fn describe(draft: &mut Draft) {
        let content = Content::new(Some(text().build()));
        draft.answer(200, "A Dockerfile.", vec![("text/plain", content)]);
    }
}

impl IntoResponse for Dockerfile {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], self.0).into_response()
    }
}

/// The Dockerfile that a tenant's image was built from.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/dockerfile", tag = "tenant")]
pub(crate) async fn dockerfile(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Dockerfile, Refused> {
    let scope = caller.scope();
    let tenant = app.store.tenant(&scope, env_id).await?.ok_or(Absent("tenant"))?;
    let revision = app.store.current_revision(&scope, tenant.id).await?;
    let built = revision.and_then(|revision| revision.built);
    Ok(built.map(|built| Dockerfile(built.dockerfile)).ok_or(Absent("image: the tenant is not built yet"))?)
}
