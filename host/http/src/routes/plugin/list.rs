//! `GET /api/v1/plugins`

use axum::Json;
use axum::extract::State;
use convergence_plugin::{FileEntry, State as FileState};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::Plugin;
use crate::App;
use crate::extract::Authenticated;

/// What is installed, and what lies in the plugins folder.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plugins {
    /// By id.
    plugins: Vec<Plugin>,
    /// Every file of this server's plugins folder, rejected ones with the reason.
    files: Vec<File>,
}

/// A file of the plugins folder.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct File {
    file: String,
    /// What it is by its exports, where it could be read that far.
    kind: Option<&'static str>,
    /// The plugin it says that it is.
    plugin: Option<String>,
    version: Option<String>,
    /// `active`, `shadowed` (another version is in use), `idle` (the plugin is not in use) or `rejected`.
    state: &'static str,
    /// Why it was rejected, and what to do.
    reason: Option<String>,
}

impl From<FileEntry> for File {
    fn from(entry: FileEntry) -> Self {
        let (state, reason) = match entry.state {
            FileState::Active => ("active", None),
            FileState::Shadowed { .. } => ("shadowed", None),
            FileState::Idle => ("idle", None),
            FileState::Rejected { reason } => ("rejected", Some(reason)),
        };
        let (plugin, version) = entry.plugin.map(|(id, version)| (id, version.to_string())).unzip();
        let kind = entry.kind.map(|kind| kind.as_str());
        Self { file: entry.file.display().to_string(), kind, plugin, version, state, reason }
    }
}

/// What is installed, and what lies in the plugins folder.
#[utoipa::path(get, path = "/api/v1/plugins", tag = "plugin")]
pub(crate) async fn list(State(app): State<App>, caller: Authenticated) -> Json<Plugins> {
    caller.administrator();
    let plugins = app.catalogue.plugins().await.into_iter().map(Plugin::from).collect();
    let files = app.catalogue.files().into_iter().map(File::from).collect();
    Json(Plugins { plugins, files })
}
