//! `GET /api/v1/tenant/{tenant}/secrets`, `PUT` and `DELETE /api/v1/tenant/{tenant}/secrets/{name}`

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use convergence_model::name::NotATenant;
use convergence_model::{EnvId, EnvName, Secret, TenantSpec, Violation};
use convergence_provision::NewVariables;
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::answer::{Answer, Parameters, configure};
use super::view::SecretsView;
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Absent, Answers, Draft, Part, problems};
use crate::extract::{Authenticated, NoTenant, Prefer, TenantPath, Unknown, tenant};
use crate::input::{Drafted, Query, merged};
use crate::routes::deployment::begin::reason;
use crate::routes::tenant::wire::{VARIABLE_NAME, changed_secrets_schema};

problems!(Unseen: Absent, StoreError);
problems!(NoSecret: Unknown, NoTenant);

/// The tenant and the text that the path has for a secret's name. Neither is looked up here.
#[derive(Debug, Clone)]
pub(crate) struct SecretPath(EnvId, String);

impl Part for SecretPath {
    fn describe(draft: &mut Draft) {
        TenantPath::describe(draft);
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(VARIABLE_NAME));
        draft.path("name", schema, "The variable that the app is given it in.");
        NoSecret::describe(draft);
    }
}

impl FromRequestParts<App> for SecretPath {
    type Rejection = NoSecret;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoSecret> {
        let caller = Authenticated::from_request_parts(parts, app).await?;
        let Path((text, name)) = Path::<(String, String)>::from_request_parts(parts, app)
            .await
            .map_err(|_| NoTenant::from(NotATenant::new(parts.uri.path(), "the path is not percent-encoded UTF-8")))?;
        Ok(Self(tenant(app, &caller, &text).await?, name))
    }
}

/// The secrets that are to be different.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"secrets": {"DATABASE_URL": "postgres://shop:correct-horse@db/shop", "OLD_TOKEN": null}}))]
pub(crate) struct SecretsBody {
    #[schema(schema_with = changed_secrets_schema)]
    secrets: BTreeMap<String, Option<Secret>>,
    /// Why, human-readable: at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// The value of a secret.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": "postgres://shop:correct-horse@db/shop"}))]
pub(crate) struct SecretBody {
    /// It is not shown again. Nothing expands `$`.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 16384, pattern = r"^[^\x00]*$")]
    value: Secret,
    /// Why, human-readable: at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
}

/// The secrets of a tenant, as its next revision has them, without their values.
#[utoipa::path(get, path = "/api/v1/tenant/{tenant}/secrets", tag = "variable")]
pub(crate) async fn list(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
) -> Result<Json<SecretsView>, Unseen> {
    let variables = app.provisioner.variables(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    Ok(Json(variables.into()))
}

/// Set a secret of a tenant, which its app is given as a variable.
///
/// The value is sealed before it is stored, and not shown again. The app is replaced by a revision of the same image that has it,
/// as a deployment does it. Of a tenant that is stopped it waits for the next deployment.
#[utoipa::path(put, path = "/api/v1/tenant/{tenant}/secrets/{name}", tag = "variable")]
pub(crate) async fn set(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SecretPath(env_id, name): SecretPath,
    Query(parameters): Query<Parameters>,
    prefer: Prefer,
    Drafted { body, wrong: told }: Drafted<SecretBody>,
) -> Answer {
    let mut wrong = Vec::new();
    let name = checked_name("name", &name).map_err(|violation| wrong.push(violation)).ok();
    refuse_value("value", &body.value, &mut wrong);
    let reason = reason(body.reason).map_err(|Wrong(more)| wrong.extend(more)).unwrap_or_default();
    let wrong = merged(wrong, told);
    let name = match name {
        Some(name) if wrong.is_empty() => name,
        _ => return Err(Wrong(wrong).into()),
    };
    let change = NewVariables { secrets: [(name, Some(body.value))].into(), ..NewVariables::default() };
    configure(&app, &caller, env_id, &change, reason, &parameters, &prefer).await
}

/// Change some secrets of a tenant at once: `null` removes one. What is absent stays as it is.
///
/// The app is replaced by one revision that has all of them.
#[utoipa::path(patch, path = "/api/v1/tenant/{tenant}/secrets", tag = "variable")]
pub(crate) async fn set_several(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    TenantPath(env_id): TenantPath,
    Query(parameters): Query<Parameters>,
    prefer: Prefer,
    Drafted { body, wrong: told }: Drafted<SecretsBody>,
) -> Answer {
    let (mut wrong, mut secrets) = (Vec::new(), BTreeMap::new());
    for (name, value) in body.secrets {
        let path = format!("secrets.{name}");
        if let Some(value) = &value {
            refuse_value(&path, value, &mut wrong);
        }
        match checked_name(&path, &name) {
            Ok(name) => _ = secrets.insert(name, value),
            Err(violation) => wrong.push(violation),
        }
    }
    let reason = reason(body.reason).map_err(|Wrong(more)| wrong.extend(more)).unwrap_or_default();
    let wrong = merged(wrong, told);
    if !wrong.is_empty() {
        return Err(Wrong(wrong).into());
    }
    let change = NewVariables { secrets, ..NewVariables::default() };
    configure(&app, &caller, env_id, &change, reason, &parameters, &prefer).await
}

/// Remove a secret of a tenant. Revisions that had it still do, and a rollback brings it back.
#[utoipa::path(delete, path = "/api/v1/tenant/{tenant}/secrets/{name}", tag = "variable")]
pub(crate) async fn unset(
    State(app): State<App>,
    Authenticated(caller): Authenticated,
    SecretPath(env_id, name): SecretPath,
    Query(parameters): Query<Parameters>,
    prefer: Prefer,
) -> Answer {
    let name = EnvName::parse(&name).map_err(|_| Absent("secret"))?;
    let variables = app.provisioner.variables(&caller.scope(), env_id).await?.ok_or(Absent("tenant"))?;
    if !variables.secrets.iter().any(|secret| secret.name == name) {
        return Err(Absent("secret").into());
    }
    let change = NewVariables { secrets: [(name, None)].into(), ..NewVariables::default() };
    configure(&app, &caller, env_id, &change, String::new(), &parameters, &prefer).await
}

/// A name that is not the platform's.
fn checked_name(path: &str, text: &str) -> Result<EnvName, Violation> {
    match EnvName::parse(text) {
        Err(message) => Err(Violation::deny(path, "bad-name", message)),
        Ok(name) if name.is_reserved() => {
            Err(Violation::deny(path, "reserved", format!("{name} is set by the platform; choose another name")))
        }
        Ok(name) => Ok(name),
    }
}

/// What is wrong with a value. It is never repeated.
fn refuse_value(path: &str, value: &Secret, wrong: &mut Vec<Violation>) {
    let (text, most) = (value.expose(), TenantSpec::SECRET_MAX);
    if text.is_empty() {
        wrong.push(Violation::deny(path, "too-short", "it is empty; to remove the secret, delete it"));
    } else if text.chars().count() > most {
        wrong.push(Violation::deny(path, "too-long", format!("it has more than {most} characters")));
    } else if text.contains('\0') {
        wrong.push(Violation::deny(path, "bad-character", "it contains a NUL character"));
    }
}
