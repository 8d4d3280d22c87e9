//! `GET`, `PUT` and `PATCH /api/v1/tenant/{tenant}/env`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use convergence_model::{EnvName, Violation};
use convergence_provision::NewVariables;
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::{Answer, Parameters, configure};
use super::view::VariablesView;
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Absent, problems};
use crate::extract::{Authenticated, Prefer, TenantPath};
use crate::input::{Drafted, Query, merged};
use crate::routes::deployment::begin::reason;
use crate::routes::tenant::wire::{all_variables_schema, changed_variables_schema, variables};

problems!(Unseen: Absent, StoreError);

/// All plain variables of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"env": {"GREETING": "hello"}, "reason": "a friendlier page"}))]
pub(crate) struct EnvBody {
    #[schema(schema_with = all_variables_schema)]
    env: BTreeMap<String, String>,
    /// Why, human-readable: at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// The plain variables that are to be different.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"env": {"GREETING": "good morning", "DEBUG": null}}))]
pub(crate) struct EnvChangeBody {
    #[schema(schema_with = changed_variables_schema)]
    env: BTreeMap<String, Option<String>>,
    /// Why, human-readable: at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// The variables of a tenant, as its next revision has them; of the secret ones their names.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/env", tag = "variable")]
pub(crate) async fn show(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Json<VariablesView>, Unseen> {
    let variables = app.provisioner.variables(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    Ok(Json(variables.into()))
}

/// Set all plain variables of a tenant: those that are absent are gone. Secret ones stay.
///
/// The app is replaced by a revision of the same image that has them, as a deployment does it. Of a tenant that is stopped they
/// wait for its next deployment.
#[utoipa::path(put, path = "/api/v1/tenant/{tenant}/env", tag = "variable")]
pub(crate) async fn replace(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
    prefer: Prefer,
    Drafted { body, wrong }: Drafted<EnvBody>,
) -> Answer {
    let env = body.env.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let (plain, reason) = checked(env, body.reason, wrong)?;
    let change = NewVariables { plain, replace: true, ..NewVariables::default() };
    configure(&app, &caller, env_id, &change, reason, &parameters, &prefer).await
}

/// Change some plain variables of a tenant: `null` removes one. What is absent stays as it is.
///
/// The app is replaced by a revision of the same image that has them, as a deployment does it; also where no variable is named
/// and changes of an earlier request wait. Of a tenant that is stopped they wait for its next deployment.
#[utoipa::path(patch, path = "/api/v1/tenant/{tenant}/env", tag = "variable")]
pub(crate) async fn change(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
    prefer: Prefer,
    Drafted { body, wrong }: Drafted<EnvChangeBody>,
) -> Answer {
    let (plain, reason) = checked(body.env, body.reason, wrong)?;
    let change = NewVariables { plain, ..NewVariables::default() };
    configure(&app, &caller, env_id, &change, reason, &parameters, &prefer).await
}

/// Variables with values or to be removed, and why; or everything that is wrong.
fn checked(
    env: BTreeMap<String, Option<String>>,
    why: Option<String>,
    told: Vec<Violation>,
) -> Result<(BTreeMap<EnvName, Option<String>>, String), Wrong> {
    let mut wrong = Vec::new();
    let (set, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = env.into_iter().partition(|(_, value)| value.is_some());
    let set = set.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect();
    let mut changed: BTreeMap<EnvName, Option<String>> =
        variables(set, &mut wrong).into_iter().map(|(name, value)| (name, Some(value))).collect();
    let gone = gone.into_keys().map(|name| (name, String::new())).collect();
    changed.extend(variables(gone, &mut wrong).into_keys().map(|name| (name, None)));
    let reason = reason(why).map_err(|Wrong(more)| wrong.extend(more)).unwrap_or_default();
    let wrong = merged(wrong, told);
    if wrong.is_empty() { Ok((changed, reason)) } else { Err(Wrong(wrong)) }
}
