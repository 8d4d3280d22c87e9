//! What the operator decides about applications that are uploaded.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use convergence_source::{GitHost, GitSettings, Network, SourceLimits};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

/// Where most people keep repositories that anybody may read.
const GIT_HOSTS: [&str; 4] = ["github.com", "gitlab.com", "codeberg.org", "bitbucket.org"];

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

/// What may be uploaded, and how long it is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Sources {
    /// Where sources are kept; `<data-dir>/sources` where absent. Servers that share a database share this folder.
    pub(crate) folder: Option<PathBuf>,
    /// MiB of an archive as it is sent.
    pub(crate) max_mb: u64,
    /// MiB of all files of an archive.
    pub(crate) unpacked_max_mb: u64,
    /// Files and folders of an archive.
    pub(crate) files_max: usize,
    /// Archives received at the same time.
    pub(crate) at_once: usize,
    /// MiB of all sources of one organization.
    pub(crate) keep_max_mb: u64,
    /// Hours that a source is kept that nothing is built from.
    pub(crate) keep_hours: u64,
    /// Hosts that Git repositories are fetched from: `github.com`, `git.example.com:8443`, `http://git.example.com:3000`.
    #[serde(deserialize_with = "parsed")]
    pub(crate) git_hosts: Vec<GitHost>,
    /// Private networks that these hosts may be in: `10.1.0.0/16`.
    #[serde(deserialize_with = "parsed")]
    pub(crate) git_networks: Vec<Network>,
    /// Seconds that one fetch may take.
    pub(crate) git_seconds: u64,
    /// PEM file of certificates to trust for these hosts, in place of the system's.
    pub(crate) git_ca_file: Option<PathBuf>,
}

impl Default for Sources {
    fn default() -> Self {
        let limits = SourceLimits::default();
        Self {
            folder: None,
            max_mb: limits.archive_bytes >> 20,
            unpacked_max_mb: limits.unpacked_bytes >> 20,
            files_max: limits.entries,
            at_once: limits.at_once,
            keep_max_mb: 20 << 10,
            keep_hours: 24,
            git_hosts: GIT_HOSTS.iter().filter_map(|host| host.parse().ok()).collect(),
            git_networks: Vec::new(),
            git_seconds: GitSettings::default().patience.as_secs(),
            git_ca_file: None,
        }
    }
}

impl Sources {
    /// What an upload may use.
    pub(crate) fn limits(&self) -> SourceLimits {
        SourceLimits {
            archive_bytes: self.max_mb << 20,
            unpacked_bytes: self.unpacked_max_mb << 20,
            entries: self.files_max,
            at_once: self.at_once,
            ..SourceLimits::default()
        }
    }

    /// Which Git repositories may be fetched, and how.
    ///
    /// # Errors
    /// The file of `git-ca-file` cannot be read.
    pub(crate) fn git(&self) -> Result<GitSettings> {
        Ok(GitSettings {
            hosts: self.git_hosts.clone(),
            networks: self.git_networks.clone(),
            ca_bundle: self.git_ca_file.as_deref().map(readable).transpose()?,
            patience: Duration::from_secs(self.git_seconds),
            ..GitSettings::default()
        })
    }

    /// How long a source is kept that nothing is built from.
    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_hours * 3600)
    }
}

/// The path of `git-ca-file` from the root, since git runs in a folder of its own. Without the file every fetch would fail.
fn readable(file: &Path) -> Result<PathBuf> {
    let told = || format!("cannot read `git-ca-file` {} of [sources]", file.display());
    let path = std::path::absolute(file).with_context(told)?;
    std::fs::read(&path).with_context(told)?;
    Ok(path)
}
