//! What a kind of operation says about itself, and the registry of those that a server can carry out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::{Lane, Operation, OperationState};
use convergence_store::Effect;
use serde_json::Value;

use crate::error::StepError;
use crate::hold::Hold;
use crate::looping::{self, Loop};
use crate::sequence::{self, Sequence};
use crate::{Operations, Schedule};

/// What a kind of operation says about itself.
#[derive(Debug)]
pub struct Kind {
    /// Its name, stored with every operation and shown to clients; unique in the program.
    pub name: &'static str,
    /// Where its operations wait for their turn.
    pub lane: Lane,
    /// Whether no other exclusive operation on the same subject may be unfinished.
    pub exclusive: bool,
    /// Whether an exclusive operation that somebody asks for may cancel it instead of waiting for it.
    pub yields: bool,
    /// Whether somebody may cancel it. What cannot be undone then stays as far as it got.
    pub cancellable: bool,
    /// The version of a loop's checkpoint that this program writes; it reads that and older ones. 0 for a sequence.
    pub checkpoint: u32,
    /// What a step that fails for good leads to.
    pub failing: Failing,
    /// What becomes of the subject when it is stuck.
    pub stuck: Effect,
    /// The audit's word for the request.
    pub asked_action: &'static str,
    /// The audit's word for one that succeeded.
    pub done_action: &'static str,
    /// The audit's word for one that did not.
    pub failed_action: &'static str,
}

impl Kind {
    /// Whether giving up forward means that somebody has to look.
    pub(crate) fn gets_stuck(&self) -> bool {
        matches!(self.failing, Failing::Stay { state: OperationState::Stuck, .. })
    }
}

/// What a step that fails for good leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failing {
    /// What was done is undone (a sequence), or the loop is closed; this becomes of the subject.
    Undo(Effect),
    /// It stays as far as it got, in this state, for an operator to look at.
    Stay {
        /// `Failed` or `Stuck`.
        state: OperationState,
        /// What becomes of the subject, unless the operation was cancelled: then nothing.
        effect: Effect,
    },
}

/// What an operation that succeeded leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What becomes of its subject.
    pub effect: Effect,
    /// What it made, in the kind's own form.
    pub result: Option<Value>,
}

/// The kinds a server can carry out, each with what carries it out.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn Carry>>,
    schedules: Vec<Schedule>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds.keys()).finish()
    }
}

impl Registry {
    /// Registers a kind whose steps are a list.
    #[must_use]
    pub fn sequence(mut self, kind: impl Sequence) -> Self {
        self.kinds.insert(kind.kind().name, Arc::new(sequence::Carrier(kind)));
        self
    }

    /// Registers a kind whose next step is decided from a checkpoint.
    #[must_use]
    pub fn looping(mut self, kind: impl Loop) -> Self {
        self.kinds.insert(kind.kind().name, Arc::new(looping::Carrier(kind)));
        self
    }

    /// Registers what begins operations at certain times.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedules.push(schedule);
        self
    }

    /// What a worker of a lane asks the store for.
    pub(crate) fn known(&self, lane: Lane) -> BTreeMap<&'static str, u32> {
        let of_lane = self.kinds.values().map(|carry| carry.kind()).filter(|kind| kind.lane == lane);
        of_lane.map(|kind| (kind.name, kind.checkpoint)).collect()
    }

    pub(crate) fn carrier(&self, kind: &str) -> Option<Arc<dyn Carry>> {
        self.kinds.get(kind).cloned()
    }

    pub(crate) fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }
}

/// Carries an operation of one kind as far as it gets. An error means that nothing could be recorded; everything else is.
#[async_trait]
pub(crate) trait Carry: Send + Sync {
    fn kind(&self) -> &'static Kind;

    async fn carry(
        &self,
        operations: &Operations,
        operation: &Operation,
        time_left: Duration,
        hold: &Hold,
    ) -> Result<(), StepError>;
}
