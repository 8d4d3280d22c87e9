//! A durable piece of work on one tenant.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{EnvId, OperationId, OrgId, TenantId};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Build and run a new tenant.
    Spawn,
    /// Remove a tenant and everything it has.
    Destroy,
}

/// How far it is. `queued → running → succeeded | failed | stuck`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// Accepted and durable.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Done.
    Succeeded,
    /// Failed, and everything it did is undone.
    Failed,
    /// Failed, and an undo failed too: an operator has to look.
    Stuck,
}

macro_rules! stored_as_text {
    ($name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            /// As stored and sent.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The inverse of `as_str`.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

stored_as_text!(OperationKind { Spawn = "spawn", Destroy = "destroy" });
stored_as_text!(OperationState {
    Queued = "queued",
    Running = "running",
    Succeeded = "succeeded",
    Failed = "failed",
    Stuck = "stuck",
});
stored_as_text!(EventKind { Started = "started", Line = "line", Done = "done", Failed = "failed", Undone = "undone", UndoFailed = "undo-failed" });

impl OperationState {
    /// Whether nothing will change any more without somebody asking.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Stuck)
    }
}

/// A durable piece of work on one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Who owns the tenant.
    pub org: OrgId,
    /// The tenant's row.
    pub tenant: TenantId,
    /// The tenant, as clients know it; valid even after the tenant is gone.
    pub env_id: EnvId,
    /// What is being done.
    pub kind: OperationKind,
    /// How far it is.
    pub state: OperationState,
    /// Why it failed, once it has.
    pub failure: Option<Failure>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// Why an operation failed, told so that a person can do something about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The step that failed: `image`, `network`, `volumes`, `container`, `start`, `probe`, …
    pub step: String,
    /// A stable slug for programs, for example `build-failed`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Why, as far as can be told.
    pub likely_cause: String,
    /// What to try next.
    pub next: String,
    /// The last lines of the build or the app, oldest first, at most 20.
    pub log: Vec<String>,
}

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A step is about to be done.
    Started,
    /// A line of progress.
    Line,
    /// The step is done.
    Done,
    /// The step failed.
    Failed,
    /// The step's effect is gone again.
    Undone,
    /// The step's effect could not be undone.
    UndoFailed,
}

/// One entry of an operation's append-only history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationEvent {
    /// From 1, without gaps.
    pub seq: i64,
    /// Which step.
    pub step: String,
    /// What happened.
    pub event: EventKind,
    /// For people; empty where the kind says it all.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}
