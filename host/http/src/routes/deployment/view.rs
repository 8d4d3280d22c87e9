//! A revision as clients see it.

use std::collections::BTreeMap;

use convergence_model::tenant::{Revision, Tenant};
use convergence_model::{EnvId, GitSource, Source};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::document::{Link, Linked};
use crate::routes::operation::show::OperationView;
use crate::routes::tenant::plan::{LimitsView, PluginView};

/// A revision of a tenant: what it is made of, by whom, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentView {
    env_id: i64,
    /// Its number within the tenant, from 1.
    revision: i64,
    /// `pending` (it waits, is built or brought up), `ready` (it ran or runs), `failed` (it never ran), `replaced` (a newer
    /// one came while it waited) or `retired` (it ran, and its image was removed to make room).
    state: String,
    /// Whether it is the one that runs.
    current: bool,
    /// The revision it restores, if it is a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    restores: Option<i64>,
    /// `starter`, `archive`, `git` or `image`.
    source: String,
    /// The digest of the archive, or of the files of the commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_digest: Option<String>,
    /// The repository and the commit that was fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<GitView>,
    /// The image that is run as it is, as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_image: Option<String>,
    language: String,
    /// The framework that was asked for; absent where it was left to the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_image: Option<String>,
    /// What was decided and why.
    notes: Vec<String>,
    limits: LimitsView,
    /// Names of its variables, the secret ones included.
    env_names: Vec<String>,
    /// The engine's id of its image, once it is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Which components decided.
    plugins: BTreeMap<String, PluginView>,
    /// Who asked for it.
    actor: String,
    /// Why, as they wrote it.
    reason: String,
    /// The operation that brings it up. Operations are forgotten after some time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    operation: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl DeploymentView {
    pub(crate) fn of(tenant: &Tenant, revision: Revision) -> Self {
        let env_names = revision.spec.variable_names();
        Self {
            env_id: tenant.env_id.0,
            revision: revision.number.0,
            state: revision.state.as_str().to_owned(),
            current: tenant.current_revision == Some(revision.number),
            restores: revision.restores.map(|restores| restores.0),
            source: revision.spec.source.kind().to_owned(),
            source_digest: revision.spec.source.digest().map(ToString::to_string),
            git: GitView::of(&revision.spec.source),
            source_image: match &revision.spec.source {
                Source::Image(reference) => Some(reference.clone()),
                _ => None,
            },
            language: revision.spec.language,
            framework: revision.spec.framework,
            base_image: revision.spec.base_image,
            notes: revision.plan.notes,
            limits: revision.limits.into(),
            env_names,
            image: revision.built.map(|built| built.image_id),
            plugins: revision.plugins.into_iter().map(|(id, pin)| (id, pin.into())).collect(),
            actor: revision.actor,
            reason: revision.reason,
            operation: revision.operation.map(|id| id.to_string()),
            created_at: revision.created_at,
        }
    }
}

/// A commit of a Git repository.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GitView {
    /// Where the repository is.
    url: String,
    /// The branch, tag or commit that was asked for; absent for the default branch.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// The hash of the commit.
    commit: String,
}

impl GitView {
    fn of(source: &Source) -> Option<Self> {
        let Source::Git(GitSource { url, reference, fetched, .. }) = source else { return None };
        let commit = fetched.as_ref().map(|fetched| fetched.commit.clone()).unwrap_or_default();
        Some(Self { url: url.clone(), reference: reference.clone(), commit })
    }
}

/// The revision runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deployed {
    success: bool,
    /// The port on the host.
    port: u16,
    deployment: DeploymentView,
}

/// The revision waits for its turn, is being built or brought up: watch the operation until it runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deploying {
    success: bool,
    /// The port on the host.
    port: u16,
    deployment: DeploymentView,
    operation: OperationView,
}

impl Deployed {
    pub(crate) fn new(port: u16, deployment: DeploymentView) -> Self {
        Self { success: true, port, deployment }
    }
}

impl Deploying {
    pub(crate) fn new(port: u16, deployment: DeploymentView, operation: OperationView) -> Self {
        Self { success: true, port, deployment, operation }
    }
}

impl Linked for Deployed {
    const LINKS: &'static [Link] = &[
        ("tenant", "tenant_show", "tenant", "$response.body#/deployment/envId"),
        ("status", "tenant_status", "tenant", "$response.body#/deployment/envId"),
        ("logs", "tenant_logs", "tenant", "$response.body#/deployment/envId"),
        ("deployments", "deployment_list", "tenant", "$response.body#/deployment/envId"),
    ];
}

impl Linked for Deploying {
    const LINKS: &'static [Link] = &[
        ("operation", "operation_show", "id", "$response.body#/operation/id"),
        ("events", "operation_events", "id", "$response.body#/operation/id"),
        ("cancel", "operation_cancel", "id", "$response.body#/operation/id"),
        ("deployments", "deployment_list", "tenant", "$response.body#/deployment/envId"),
    ];
}

/// The path of a revision.
pub(crate) fn location(env_id: EnvId, revision: i64) -> String {
    format!("/api/v1/tenant/{env_id}/deployments/{revision}")
}
