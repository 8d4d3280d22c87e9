//! `PUT /api/v1/plugins/{id}/bindings`

use axum::Json;
use axum::extract::State;
use convergence_model::{OrgId, Violation};
use convergence_plugin::{ChangeError, Decision};
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{self, Plugin};
use crate::App;
use crate::document::problems;
use crate::document::refusal::Wrong;
use crate::extract::{Authenticated, PluginPath};
use crate::input::Body;

problems!(Refused: Wrong, StoreError, ChangeError);

/// Whom a policy applies to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bindings {
    /// Numbers of organizations; null is every one, those to come included.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required, max_items = 1000)]
    organizations: Option<Vec<i64>>,
}

/// Say which organizations a policy applies to.
#[utoipa::path(put, path = "/api/v1/plugins/{id}/bindings", tag = "plugin")]
pub(crate) async fn bind(
    State(app): State<App>,
    caller: Authenticated,
    PluginPath(id): PluginPath,
    Body(bindings): Body<Bindings>,
) -> Result<Json<Plugin>, Refused> {
    let scope = caller.administrator().scope();
    let mut unknown = Vec::new();
    for (at, org) in bindings.organizations.iter().flatten().enumerate() {
        if app.store.organization(&scope, OrgId(*org)).await?.is_none() {
            let path = format!("organizations[{at}]");
            unknown.push(Violation::deny(path, "no-such-organization", format!("there is no organization {org}")));
        }
    }
    if !unknown.is_empty() {
        return Err(Wrong(unknown).into());
    }
    let organizations = bindings.organizations.map(|all| all.into_iter().map(OrgId).collect());
    Ok(wire::decide(&app, &caller, &id, Decision::Bind(organizations)).await?)
}
