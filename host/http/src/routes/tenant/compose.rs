//! `GET /api/v1/tenant/{tenant}/compose`

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use convergence_provision::PlanError;
use utoipa::openapi::Content;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::App;
use crate::document::{Absent, Answers, Draft, problems};
use crate::extract::{Authenticated, TenantPath};

problems!(Refused: Absent, PlanError);

/// The text of a Compose file.
#[derive(Debug)]
pub(crate) struct ComposeFile(String);

impl Answers for ComposeFile {
    fn describe(draft: &mut Draft) {
        // What a reader of YAML makes of it.
        let services = ObjectBuilder::new().schema_type(Type::Object);
        let schema = ObjectBuilder::new().schema_type(Type::Object).property("services", services).required("services");
        let content = Content::new(Some(schema.build()));
        draft.answer(200, "A Compose file with one service.", vec![("application/yaml", content)]);
    }
}

impl IntoResponse for ComposeFile {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/yaml")], self.0).into_response()
    }
}

/// The Compose file that runs the same container. Secrets appear as `${NAME}`: set them before bringing it up.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/compose", tag = "tenant")]
pub(crate) async fn compose(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<ComposeFile, Refused> {
    let text = app.provisioner.compose(&caller.scope(), env_id).await?;
    Ok(text.map(ComposeFile).ok_or(Absent("tenant"))?)
}
