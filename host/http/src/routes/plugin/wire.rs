//! What these routes have in common: how a plugin looks to a client, and what happens after a decision.

use axum::Json;
use convergence_model::OrgId;
use convergence_model::plugin::Source;
use convergence_plugin::{BreakerState, ChangeError, Decision, PluginInfo, PluginState, VersionInfo};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::App;
use crate::extract::Authenticated;

/// An installed plugin.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plugin {
    id: String,
    /// `template`, `policy` or `billing`.
    kind: String,
    name: String,
    summary: String,
    homepage: Option<String>,
    /// `active`, `disabled`, `removed` (its last file was removed from the plugins folder) or `faulty`.
    state: &'static str,
    /// Why it is faulty.
    reason: Option<String>,
    /// The version in use.
    version: Option<String>,
    /// `sha256:…` of the component in use.
    digest: Option<String>,
    /// `closed`, `open` (it broke several times in a row and is not asked for a while) or `half-open`.
    breaker: Option<&'static str>,
    /// Languages it serves.
    languages: Vec<String>,
    /// Interfaces it imports: what it may ask of the server, and what its toolchain imports of WASI.
    imports: Vec<String>,
    /// Newest first.
    versions: Vec<Version>,
    /// JSON Schema of its configuration.
    #[schema(value_type = Value)]
    config_schema: Value,
    /// What an administrator set; absent where the configuration file decides.
    #[schema(value_type = Option<Object>)]
    configuration: Option<Value>,
    /// The organizations it applies to; absent where it is all of them.
    organizations: Option<Vec<i64>>,
}

/// A version of a plugin that is kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    version: String,
    /// `sha256:…` of the component.
    digest: String,
    /// `folder`, `upload` or `registry`; `replaced` where its file holds another version now, and `removed` where its file was
    /// removed: a rollback does not use that one again.
    source: &'static str,
    /// The file's path below the plugins folder, or the reference it was pulled by.
    origin: Option<String>,
    /// Whether a signature came with it.
    signed: bool,
    active: bool,
    #[schema(value_type = String, format = DateTime)]
    installed_at: Timestamp,
}

impl From<PluginInfo> for Plugin {
    fn from(plugin: PluginInfo) -> Self {
        let (state, reason) = match plugin.state {
            PluginState::Active => ("active", None),
            PluginState::Disabled => ("disabled", None),
            PluginState::Removed => ("removed", None),
            PluginState::Faulty(reason) => ("faulty", Some(reason)),
        };
        Self {
            id: plugin.id,
            kind: plugin.kind,
            name: plugin.name,
            summary: plugin.summary,
            homepage: plugin.homepage,
            state,
            reason,
            version: plugin.version.map(|version| version.to_string()),
            digest: plugin.digest,
            breaker: plugin.breaker.map(breaker),
            languages: plugin.languages,
            imports: plugin.imports,
            versions: plugin.versions.into_iter().map(Version::from).collect(),
            config_schema: plugin.config_schema,
            configuration: plugin.configuration,
            organizations: plugin.organizations.map(|all| all.into_iter().map(|OrgId(id)| id).collect()),
        }
    }
}

impl From<VersionInfo> for Version {
    fn from(version: VersionInfo) -> Self {
        let (source, origin) = match version.source {
            Source::Folder { path, .. } => ("folder", Some(path)),
            Source::Upload => ("upload", None),
            Source::Registry { reference } => ("registry", Some(reference)),
            Source::Replaced { path, .. } => ("replaced", Some(path)),
            Source::Removed { path, .. } => ("removed", Some(path)),
        };
        Self {
            version: version.version.to_string(),
            digest: version.digest,
            source,
            origin,
            signed: version.signed,
            active: version.active,
            installed_at: version.installed_at,
        }
    }
}

/// The state of a breaker in a word.
pub(super) fn breaker(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open(_) => "open",
        BreakerState::HalfOpen => "half-open",
    }
}

/// Carries a decision out and answers the plugin as it is then.
pub(super) async fn decide(
    app: &App,
    caller: &Authenticated,
    id: &str,
    decision: Decision,
) -> Result<Json<Plugin>, ChangeError> {
    let caller = caller.administrator();
    app.catalogue.decide(id, &decision, caller.name()).await?;
    find(app, id).await.map(|plugin| Json(plugin.into()))
}

/// The plugin of that id.
pub(super) async fn find(app: &App, id: &str) -> Result<PluginInfo, ChangeError> {
    let plugin = app.catalogue.plugin(id).await;
    plugin.ok_or_else(|| ChangeError::NoSuchPlugin(id.to_owned()))
}
