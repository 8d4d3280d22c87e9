//! Why a plugin gave no answer.

use std::path::PathBuf;
use std::time::Duration;

use convergence_model::field::Violation;
use convergence_sandbox::{CallError, Kind, PluginError, PluginFieldError};

/// Why there is no plan, or no verdict.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PluginFailure {
    /// No template serves the language.
    #[error("no template serves the language `{language}`; there are: {}", .known.join(", "))]
    UnknownLanguage {
        /// As asked for.
        language: String,
        /// The languages that are served, in order.
        known: Vec<String>,
    },
    /// No template is active at all.
    #[error("no language template is active; put components into {} and look at the list of plugins for what was rejected", .folder.display())]
    NoTemplates {
        /// The plugins folder.
        folder: PathBuf,
    },
    /// A policy is installed and cannot be asked, so no change can be approved.
    #[error(
        "the policy {policy} cannot be asked, so nothing is approved: {reason}; fix it or its configuration, disable it or remove it"
    )]
    PolicyRejected {
        /// Which one: its id, or the file that was rejected.
        policy: String,
        /// Why.
        reason: String,
    },
    /// A plugin broke so often that it is not asked for a while.
    #[error(
        "{kind} `{id}` {version} broke several times in a row and is not asked for another {pause:.1?}; its log and statistics say why"
    )]
    Suspended {
        /// Which plugin.
        id: String,
        /// Its version.
        version: String,
        /// What it is.
        kind: Kind,
        /// For how long.
        pause: Duration,
    },
    /// A plugin did not answer, or answered that it cannot.
    #[error("{kind} `{id}` {version}: {error}")]
    Call {
        /// Which plugin.
        id: String,
        /// Its version.
        version: String,
        /// What it is.
        kind: Kind,
        /// What happened.
        error: CallError,
    },
}

impl PluginFailure {
    /// What the caller can fix, as violations of the request. Empty when the caller is not to blame: then the
    /// failure is the operator's, and its text not for the caller.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        match self {
            Self::UnknownLanguage { .. } => vec![Violation::deny("language", "unknown-language", self.to_string())],
            Self::Call { error: CallError::Plugin(error), .. } => match error {
                PluginError::InvalidInput(fields) => fields.iter().map(field).collect(),
                PluginError::Unsupported(message) => vec![Violation::deny("language", "unsupported", message)],
                PluginError::InvalidConfig(_) | PluginError::Internal(_) => Vec::new(),
            },
            Self::NoTemplates { .. } | Self::PolicyRejected { .. } | Self::Suspended { .. } | Self::Call { .. } => {
                Vec::new()
            }
        }
    }

    /// Whether to try again, and when: the host was too busy, or the plugin is not asked for a while.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call { error: CallError::Overloaded(_), .. } => Some(Duration::from_secs(1)),
            Self::Suspended { pause, .. } => Some(*pause),
            _ => None,
        }
    }
}

fn field(error: &PluginFieldError) -> Violation {
    Violation::deny(&error.path, "invalid-input", &error.message)
}
