//! `PUT /api/v1/plugins/{id}/bindings`

use axum::Json;
use axum::extract::{Path, State};
use convergence_model::{OrgId, Violation};
use convergence_plugin::Decision;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{self, Plugin};
use crate::App;
use crate::extract::{Authenticated, Body};
use crate::problem::{Problem, ProblemDocument};

/// Whom a policy applies to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bindings {
    /// Numbers of organizations; null is every one, those to come included.
    #[serde(deserialize_with = "Option::deserialize")]
    organizations: Option<Vec<i64>>,
}

/// Say which organizations a policy applies to.
#[utoipa::path(
    put, path = "/api/v1/plugins/{id}/bindings", tag = "plugin",
    params(("id" = String, Path, description = "The plugin's id.")),
    request_body = Bindings,
    responses(
        (status = 200, body = Plugin),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "It is not installed."),
        (status = 409, body = ProblemDocument, content_type = "application/problem+json", description = "It is a template, which serves everybody."),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json", description = "An organization does not exist."),
    )
)]
pub(crate) async fn bind(
    State(app): State<App>,
    caller: Authenticated,
    Path(id): Path<String>,
    Body(bindings): Body<Bindings>,
) -> Result<Json<Plugin>, Problem> {
    let scope = caller.administrator()?.scope();
    let mut unknown = Vec::new();
    for (at, org) in bindings.organizations.iter().flatten().enumerate() {
        if app.store.organization(&scope, OrgId(*org)).await?.is_none() {
            let path = format!("organizations[{at}]");
            unknown.push(Violation::deny(path, "no-such-organization", format!("there is no organization {org}")));
        }
    }
    if !unknown.is_empty() {
        return Err(Problem::invalid(&unknown));
    }
    let organizations = bindings.organizations.map(|all| all.into_iter().map(OrgId).collect());
    wire::decide(&app, &caller, &id, Decision::Bind(organizations)).await
}
