//! `[plugins]`: what holds for all plugins, and a table for each that is configured.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Plugins {
    /// What becomes of a plugin that imports WASI.
    pub(crate) wasi: Wasi,
    /// By plugin id: its configuration, checked against the plugin's own schema.
    #[serde(flatten)]
    pub(crate) tables: BTreeMap<String, toml::Table>,
}

/// What becomes of a plugin that imports WASI.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wasi {
    /// It gets a WASI that holds nothing and shows the same at every call.
    #[default]
    Deterministic,
    /// It is refused.
    Refuse,
}

impl From<Wasi> for convergence_sandbox::Wasi {
    fn from(wasi: Wasi) -> Self {
        match wasi {
            Wasi::Deterministic => Self::Deterministic,
            Wasi::Refuse => Self::Refuse,
        }
    }
}
