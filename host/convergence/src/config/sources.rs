//! What the operator decides about applications that are uploaded.

use std::path::PathBuf;
use std::time::Duration;

use convergence_source::SourceLimits;
use serde::Deserialize;

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

    /// How long a source is kept that nothing is built from.
    pub(crate) fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_hours * 3600)
    }
}
