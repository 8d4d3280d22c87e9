//! `PATCH /api/v1/tenant/{tenant}`

use axum::Json;
use axum::extract::State;
use convergence_model::{Code, TenantName, Violation};
use convergence_provision::PlanError;
use convergence_store::{StoreError, TenantChange};
use serde::Deserialize;
use utoipa::ToSchema;

use super::show::{TenantDetail, detail};
use super::wire::other_name_schema;
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Absent, Fails, problems};
use crate::extract::{Authenticated, TenantPath};
use crate::input::{Drafted, merged};
use crate::problem::Problem;

problems!(Refused: Absent, Wrong, StoreError, NotChanged);

/// The tenant is not changed.
#[derive(Debug)]
pub(crate) struct NotChanged(PlanError);

impl From<NotChanged> for Problem {
    fn from(NotChanged(error): NotChanged) -> Self {
        error.into()
    }
}

impl Fails for NotChanged {
    fn codes() -> std::collections::BTreeSet<Code> {
        let mut codes = StoreError::codes();
        codes.extend([Code::NameTaken, Code::NotInThisState, Code::Invalid]);
        // Policies are asked about a name.
        codes.extend([Code::PolicyRejected, Code::PluginFailed, Code::PluginSuspended, Code::Overloaded]);
        codes
    }
}

/// What is to be different. What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "shop", "protected": true}))]
pub(crate) struct TenantChangeBody {
    // What runs is told the new one with its next revision.
    #[schema(schema_with = other_name_schema)]
    name: Option<String>,
    /// Whether it is destroyed only when it is named again.
    protected: Option<bool>,
}

/// Rename a tenant, or protect it from being destroyed. Policies are asked about another name. What runs is not touched: an
/// app is told it with its next revision.
#[utoipa::path(patch, path = "/api/v1/tenant/{tenant}", tag = "tenant")]
pub(crate) async fn change(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Drafted { body, wrong }: Drafted<TenantChangeBody>,
) -> Result<Json<TenantDetail>, Refused> {
    let mut found: Vec<Violation> = Vec::new();
    let name = body.name.and_then(|name| TenantName::parse(&name).map_err(|violation| found.push(violation)).ok());
    let wrong = merged(found, wrong);
    if !wrong.is_empty() {
        return Err(Wrong(wrong).into());
    }
    let scope = caller.scope();
    let change = TenantChange { name, protected: body.protected };
    let changed = app.provisioner.change(&scope, &caller, env_id, &change).await.map_err(NotChanged)?;
    Ok(Json(detail(&app, &scope, changed.ok_or(Absent("tenant"))?).await?.ok_or(Absent("tenant"))?))
}
