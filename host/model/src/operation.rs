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
    /// Bring a tenant back to what its revision says: its container is gone, has ended or was changed by hand.
    Repair,
    /// Stop a tenant whose app ends again and again.
    Halt,
    /// Remove from the engine what carries our label and belongs to nothing we know.
    Sweep,
}

impl OperationKind {
    /// Every kind there is.
    pub const ALL: [Self; 5] = [Self::Spawn, Self::Destroy, Self::Repair, Self::Halt, Self::Sweep];
}

/// How far it is. `queued → running → succeeded | failed | cancelled | stuck`, and back to `queued` while it waits for
/// something that may pass.
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
    /// Somebody took it back, and everything it did is undone.
    Cancelled,
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

stored_as_text!(OperationKind {
    Spawn = "spawn",
    Destroy = "destroy",
    Repair = "repair",
    Halt = "halt",
    Sweep = "sweep",
});
stored_as_text!(Direction { Forward = "forward", Back = "back" });
stored_as_text!(OperationState {
    Queued = "queued",
    Running = "running",
    Succeeded = "succeeded",
    Failed = "failed",
    Cancelled = "cancelled",
    Stuck = "stuck",
});
stored_as_text!(EventKind {
    Started = "started",
    Line = "line",
    Done = "done",
    Failed = "failed",
    Undone = "undone",
    UndoFailed = "undo-failed",
    Waiting = "waiting",
    HandedOver = "handed-over",
});

impl OperationState {
    /// Whether nothing will change any more without somebody asking.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Stuck)
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
    /// What it was asked beyond its kind.
    pub input: Input,
    /// How far it is.
    pub state: OperationState,
    /// Whether it still does its steps or takes them back.
    pub direction: Direction,
    /// Steps that were begun; on the way back, those that are still to be undone.
    pub progress: usize,
    /// How often it was put back, because of something that may pass, since it last got further.
    pub retries: u32,
    /// How many workers died over it since it last got further.
    pub crashes: u32,
    /// Somebody asked to take it back.
    pub cancel: bool,
    /// Why it failed, once it has, or why it is being undone.
    pub failure: Option<Failure>,
    /// What it made, once it has.
    pub result: Option<Made>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

/// Which way an operation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Its steps are done, one after the other.
    Forward,
    /// A step failed for good, or somebody took the operation back: its steps are undone, the last one first.
    Back,
}

/// What an operation was asked beyond its kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Input {
    /// Why the platform does it of its own accord; empty where somebody asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What a sweep removes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
}

/// Something in the engine that carries our label and belongs to nothing we know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// Its name in the engine.
    pub name: String,
}

/// What can be left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeftoverKind {
    /// A container: removed before what it uses.
    Container,
    /// A network.
    Network,
    /// A volume, with what is in it.
    Volume,
    /// A tag of an image.
    Image,
}

/// What an operation made: what an answer about it tells when the tenant is long gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// The tenant's name.
    pub name: String,
    /// Its port on the host.
    pub port: u16,
    /// Which version of its key was in use.
    pub key_version: u32,
    /// When the tenant was asked for.
    pub created_at: Timestamp,
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
    /// The step will be tried again: something is in the way that may pass.
    Waiting,
    /// The server stops; the next one goes on.
    HandedOver,
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
