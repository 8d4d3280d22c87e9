//! A durable piece of work: what it is about, how far it is, what was told of it.
//!
//! Which kinds of work there are is for the rooms that register them; here a kind is a name, and what it was asked and what
//! it made are JSON of the kind's own form.

use std::fmt;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{EnvId, OperationId, OrgId, TenantId};

pub use crate::failure::{Failure, FailureCode};

/// What an operation is about: a noun and its id, or the platform itself. An operation outlives its subject.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(String);

impl Subject {
    /// The tenant with this number: `tenant/7`.
    pub fn tenant(env_id: EnvId) -> Self {
        Self(format!("tenant/{env_id}"))
    }

    /// The platform itself.
    pub fn platform() -> Self {
        Self("platform".to_owned())
    }

    /// Something else: `task/…`, `organization/3`.
    pub fn of(noun: &str, id: impl fmt::Display) -> Self {
        Self(format!("{noun}/{id}"))
    }

    /// As it is stored; what this version does not know is kept as it is.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// As stored and sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant it is, if it is one.
    pub fn env_id(&self) -> Option<EnvId> {
        self.0.strip_prefix("tenant/").and_then(|id| id.parse().ok())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of waiting bounds how many operations run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Each makes containers: a few at once.
    Engine,
    /// Each waits for an answer from the network: thousands at once.
    Network,
    /// Each uses the processor: one or two at once.
    Batch,
}

impl Lane {
    /// Every lane there is.
    pub const ALL: [Self; 3] = [Self::Engine, Self::Network, Self::Batch];
}

/// How far it is. `queued → running → succeeded | failed | cancelled | stuck`; back to `queued` while it waits for something
/// that may pass, and to `waiting` until a time or a signal that its kind named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// Accepted and durable.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Nobody works on it until a time or a signal.
    Waiting,
    /// Done.
    Succeeded,
    /// Failed, and everything it did is undone.
    Failed,
    /// Cancelled, and everything it did is undone.
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

stored_as_text!(Lane { Engine = "engine", Network = "network", Batch = "batch" });
stored_as_text!(Direction { Forward = "forward", Back = "back" });
stored_as_text!(OperationState {
    Queued = "queued",
    Running = "running",
    Waiting = "waiting",
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
    Suspended = "suspended",
    HandedOver = "handed-over",
});

impl OperationState {
    /// Whether nothing will change any more without somebody asking.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Stuck)
    }
}

/// A durable piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The organization it is done for.
    pub org: OrgId,
    /// What is being done: a name that one kind is registered under. A database may hold kinds that this version lacks.
    pub kind: String,
    /// What it is about.
    pub subject: Subject,
    /// What it was asked beyond its kind, in the kind's own form.
    pub input: Value,
    /// How far a loop is.
    pub checkpoint: Option<Checkpoint>,
    /// How far it is.
    pub state: OperationState,
    /// Whether it still does its steps or undoes them.
    pub direction: Direction,
    /// Steps that were begun; on the way back, those that are still to be undone.
    pub progress: usize,
    /// How often it was put back, because of something that may pass, since it last got further.
    pub retries: u32,
    /// How many workers died over it since it last got further.
    pub crashes: u32,
    /// Somebody asked to cancel it.
    pub cancel: bool,
    /// Why it failed, once it has, or why it is being undone.
    pub failure: Option<Failure>,
    /// What it made, once it has, in the kind's own form.
    pub result: Option<Value>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
}

impl Operation {
    /// The tenant it is about, if it is about one.
    pub fn env_id(&self) -> Option<EnvId> {
        self.subject.env_id()
    }

    /// What it was asked.
    ///
    /// # Errors
    /// It is not of this form: another version of the kind wrote it.
    pub fn asked<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(&self.input)
    }

    /// Why the platform does it of its own accord; empty where somebody asked.
    pub fn reason(&self) -> &str {
        self.input.get("reason").and_then(Value::as_str).unwrap_or_default()
    }
}

/// How far a loop is, as its kind wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Which version of the kind's form `state` has.
    pub version: u32,
    /// Steps that were done. Where more were begun, the outcome of the last one is not known.
    pub steps: usize,
    /// The kind's own.
    pub state: Value,
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

/// What a spawn is asked beyond what its tenant's rows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnInput {
    /// The tenant's row: its key is derived from it, also for an answer that is repeated when the tenant is gone.
    pub tenant: TenantId,
}

/// What a repair or a halt is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpkeepInput {
    /// Why the platform does it of its own accord; empty where somebody asked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What is wrong with the tenant, told with its status once it is halted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Stop the app and start it again although its container is as it should be: it hangs.
    #[serde(skip_serializing_if = "is_false")]
    pub restart: bool,
}

/// What a sweep is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SweepInput {
    /// What it removes.
    pub leftovers: Vec<Leftover>,
    /// An operator named each of the leftovers: they are removed whether or not the store can prove that it let them go.
    #[serde(skip_serializing_if = "is_false")]
    pub ordered: bool,
}

fn is_false(value: &bool) -> bool {
    !value
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

/// What a spawn made: what an answer about it tells when the tenant is long gone.
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
    /// Nobody works on it until a time or a signal.
    Suspended,
    /// The server stops; the next one continues.
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
    /// Human-readable; empty where the kind says it all.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}
