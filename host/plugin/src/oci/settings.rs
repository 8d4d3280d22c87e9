//! What the operator says about registries.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// What the operator says about registries, and how much one may take.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    /// `[registries]` of the configuration, by `host` or `host:port`. One that is not listed works too, over TLS, without
    /// credentials and at a public address.
    pub registries: BTreeMap<String, Registry>,
    /// Bytes of the largest component that is fetched.
    pub max_component_bytes: u64,
    /// How long one pull or push may take in all.
    pub patience: Duration,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self { registries: BTreeMap::new(), max_component_bytes: 64 << 20, patience: Duration::from_secs(120) }
    }
}

/// A registry the operator listed: it may be at a private address, and lead to others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Registry {
    /// Whether it is spoken to without TLS; where absent, only if it is on this machine. Anybody in between can then
    /// read the password and change what is not signed.
    pub plain_http: Option<bool>,
    /// Who we are there; nobody where absent.
    pub username: Option<String>,
    /// The file that holds the password or token, and nothing else.
    pub password_file: Option<PathBuf>,
    /// PEM file of certificate authorities to believe for it, beside the system's.
    pub ca_bundle: Option<PathBuf>,
}
