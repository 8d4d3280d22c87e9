//! `PUT /api/v1/registries/{host}`

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use convergence_model::{Code, RegistryCredentials, RegistryHost, Secret, Violation};
use convergence_provision::LoginError;
use convergence_store::StoreError;
use serde::Deserialize;
use utoipa::ToSchema;

use super::RegistryView;
use super::path::{HostPath, Parameters};
use crate::App;
use crate::document::refusal::Wrong;
use crate::document::{Absent, Fails, problems};
use crate::extract::Authenticated;
use crate::input::{Drafted, Query, merged};
use crate::problem::Problem;

problems!(Refused: Absent, Wrong, LoginError);

/// What to log in to a registry with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user": "robot", "password": "correct-horse"}))]
pub(crate) struct LoginBody {
    /// The user's name at the registry.
    #[schema(min_length = 1, max_length = 255, pattern = r"^[^:\x00-\x1f\x7f-\x9f]*$")]
    user: String,
    /// The user's password, or a token. It is not shown again.
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 16384, pattern = r"^[^\x00]*$")]
    password: Secret,
}

/// Log in to a registry: images of it are pulled as this user for tenants of the organization.
///
/// The password is sealed before it is stored, and not shown again. The registry is asked when an image is pulled, not now. A later
/// login takes the place of an earlier one.
#[utoipa::path(put, path = "/api/v1/registries/{host}", tag = "registry")]
pub(crate) async fn login(
    State(app): State<App>,
    caller: Authenticated,
    HostPath(host): HostPath,
    Query(parameters): Query<Parameters>,
    Drafted { body, wrong: told }: Drafted<LoginBody>,
) -> Result<Json<RegistryView>, Refused> {
    let (org, scope) = caller.organization(parameters.org_id)?;
    let LoginBody { user, password } = body;
    let mut wrong = Vec::new();
    let host = RegistryHost::parse(&host).map_err(|why| wrong.push(Violation::deny("host", "bad-form", why))).ok();
    refuse_user(&user, &mut wrong);
    refuse_password(&password, &mut wrong);
    let wrong = merged(wrong, told);
    let host = match host {
        Some(host) if wrong.is_empty() => host,
        _ => return Err(Wrong(wrong).into()),
    };
    let credentials = RegistryCredentials { host, user, password };
    let registry = app.provisioner.log_in(&scope, &caller.0, org, &credentials).await?;
    Ok(Json(registry.into()))
}

fn refuse_user(user: &str, wrong: &mut Vec<Violation>) {
    let most = RegistryCredentials::USER_MAX;
    if user.is_empty() {
        wrong.push(Violation::deny("user", "too-short", "it is empty; name a user of the registry"));
    } else if user.chars().count() > most {
        wrong.push(Violation::deny("user", "too-long", format!("it has more than {most} characters")));
    } else if user.contains(|character: char| character == ':' || character.is_control()) {
        // Registries are told `user:password`.
        wrong.push(Violation::deny("user", "bad-character", "it must have neither `:` nor control characters"));
    }
}

/// What is wrong with a password. It is never repeated.
fn refuse_password(password: &Secret, wrong: &mut Vec<Violation>) {
    let (text, most) = (password.expose(), RegistryCredentials::PASSWORD_MAX);
    if text.is_empty() {
        wrong.push(Violation::deny("password", "too-short", "it is empty; to log out, delete the registry"));
    } else if text.chars().count() > most {
        wrong.push(Violation::deny("password", "too-long", format!("it has more than {most} characters")));
    } else if text.contains('\0') {
        wrong.push(Violation::deny("password", "bad-character", "it contains a NUL character"));
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Store(error) => error.into(),
            LoginError::Ring(error) => error.into(),
        }
    }
}

impl Fails for LoginError {
    fn codes() -> BTreeSet<Code> {
        &StoreError::codes() | &BTreeSet::from([Code::NotFound, Code::ChangedMeanwhile, Code::RingUnusable])
    }
}
