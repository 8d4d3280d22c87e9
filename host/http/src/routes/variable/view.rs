//! Variables as clients see them.

use std::collections::BTreeMap;

use convergence_provision::Variables;
use convergence_store::SecretVersion;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A tenant's variables, as its next revision has them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VariablesView {
    /// Plain ones. The platform's own, such as `PORT`, are not among them.
    env: BTreeMap<String, String>,
    /// Secret ones, without their values.
    secrets: Vec<SecretView>,
    /// The revision that runs with exactly these. Absent where they wait for the next deployment, or for one that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

/// A tenant's secrets, as its next revision has them, without their values.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretsView {
    secrets: Vec<SecretView>,
    /// The revision that runs with exactly these. Absent where they wait for the next deployment, or for one that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

/// A secret, without its value.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretView {
    /// The variable that the app is given it in.
    name: String,
    /// Rises with each secret of the tenant that is set.
    version: u32,
    /// Who set this version.
    actor: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<SecretVersion> for SecretView {
    fn from(secret: SecretVersion) -> Self {
        let SecretVersion { name, version, actor, created_at } = secret;
        Self { name: name.into(), version, actor, created_at }
    }
}

impl From<Variables> for VariablesView {
    fn from(variables: Variables) -> Self {
        Self {
            env: variables.plain.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            secrets: variables.secrets.into_iter().map(SecretView::from).collect(),
            revision: variables.revision.map(|revision| revision.0),
        }
    }
}

impl From<Variables> for SecretsView {
    fn from(variables: Variables) -> Self {
        let VariablesView { secrets, revision, .. } = variables.into();
        Self { secrets, revision }
    }
}
