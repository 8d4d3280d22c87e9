//! Kinds that are a loop: the next step is decided from a checkpoint, until there is none.
//!
//! A step's outcome and the checkpoint it leads to are one transaction. A loop has no undo; it is closed, once, whichever way
//! it ends. It may wait for a time or a signal, and then nobody holds it. A step whose effect cannot be repeated for free is
//! *once*: when a server ends in the middle of it, the loop is asked what to do about an outcome that is not known.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::{Checkpoint, Direction, EventKind, Failure, Operation, OperationState};
use convergence_store::{NewEvent, Signal, SignalKey, StepDone, Until};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::attempt::{Bounds, was_cancelled};
use crate::error::{Class, StepError};
use crate::hold::Hold;
use crate::kind::{Carry, Done, Failing, Kind};
use crate::{Operations, retry};

/// The name of the step that closes a loop.
const CLOSE: &str = "close";

/// A kind whose next step is decided from a checkpoint.
#[async_trait]
pub trait Loop: Send + Sync + 'static {
    /// What it is asked.
    type Input: DeserializeOwned + Send + Sync;
    /// How far it is. [`Kind::checkpoint`] is the version of its form.
    type State: Serialize + DeserializeOwned + Send + Sync;

    /// What it says about itself.
    fn kind(&self) -> &'static Kind;

    /// How far it is before its first step.
    fn begin(&self, input: &Self::Input) -> Self::State;

    /// Reads a state of an older version of its form, or of this one.
    ///
    /// # Errors
    /// It is not of that form; the operation is stuck.
    fn read(&self, _version: u32, state: Value) -> Result<Self::State, serde_json::Error> {
        serde_json::from_value(state)
    }

    /// The next step, decided from the state alone.
    fn next(&self, input: &Self::Input, state: &Self::State) -> Next;

    /// Does a step. Safe to repeat, unless the step is once.
    ///
    /// # Errors
    /// What may pass is tried again; what fails for good closes the loop.
    async fn act(&self, step: LoopStep, turn: Turn<'_, Self>) -> Result<Came<Self::State>, StepError>;

    /// What to do about a step that is once, and was begun by a server that ended before its outcome was written.
    ///
    /// # Errors
    /// As of [`Loop::act`]; it is asked again.
    async fn recover(&self, step: LoopStep, turn: Turn<'_, Self>) -> Result<Recovery<Self::State>, StepError>;

    /// The last step of each way to end; safe to repeat.
    ///
    /// # Errors
    /// It is tried again for as long as that may help; then the operation is stuck.
    async fn close(&self, end: End<'_>, turn: Turn<'_, Self>) -> Result<Done, StepError>;
}

/// What comes next in a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This step.
    Step(LoopStep),
    /// Nothing: it is closed.
    End,
}

/// A step of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopStep {
    /// As events and failures name it.
    pub name: &'static str,
    /// How long it may take before it is taken for hanging.
    pub limit: Duration,
    /// Whether its effect cannot be repeated for free: a model call, a payment.
    pub once: bool,
    /// Whether it may be dropped in the middle when somebody cancels the operation or the server stops.
    pub can_be_interrupted: bool,
}

/// What a step works with.
#[derive(Debug)]
pub struct Turn<'a, L: Loop + ?Sized> {
    /// The operation.
    pub operation: &'a Operation,
    /// What it was asked.
    pub input: &'a L::Input,
    /// How far it is.
    pub state: &'a L::State,
    /// What it was told and has not taken yet.
    pub inbox: &'a Inbox,
    /// The right to work on it: ask [`Hold::check`] before each effect on the world outside.
    pub hold: &'a Hold,
}

/// What an operation was told and has not taken yet.
#[derive(Debug)]
pub struct Inbox {
    signals: Vec<Signal>,
    taken: Mutex<BTreeSet<SignalKey>>,
}

impl Inbox {
    fn new(signals: Vec<Signal>) -> Self {
        Self { signals, taken: Mutex::default() }
    }

    /// Takes the signals of this name, in the order in which they were told. They are gone once the step is done; a step that
    /// fails finds them again.
    pub fn take(&self, name: &str) -> Vec<Signal> {
        let found: Vec<Signal> = self.signals.iter().filter(|signal| signal.key.name == name).cloned().collect();
        let keys = found.iter().map(|signal| signal.key.clone());
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
        found
    }

    fn taken(self) -> Vec<SignalKey> {
        self.taken.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
    }
}

impl<L: Loop + ?Sized> Clone for Turn<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L: Loop + ?Sized> Copy for Turn<'_, L> {}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came<S> {
    /// So far; the next step follows at once.
    Further(S),
    /// So far, and there is nothing to do until then. Nobody holds the operation meanwhile.
    Waits(S, Wait),
}

/// Until when there is nothing to do: whichever comes first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wait {
    /// So long from now; for ever where absent.
    pub time: Option<Duration>,
    /// Until a signal of this name.
    pub signal: Option<String>,
}

/// What to do about an outcome that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery<S> {
    /// It was looked up: this is what it came to.
    Happened(Came<S>),
    /// It is done again, from this state, which may record the loss.
    Repeat(S),
    /// It is neither looked up nor repeated: the loop is closed as failed.
    GiveUp(Failure),
}

/// How a loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<'a> {
    /// There was no next step.
    Succeeded,
    /// A step failed for good.
    Failed(&'a Failure),
    /// Somebody cancelled it.
    Cancelled,
}

/// Carries out the operations of one kind.
pub(crate) struct Carrier<L>(pub(crate) L);

#[async_trait]
impl<L: Loop> Carry for Carrier<L> {
    fn kind(&self) -> &'static Kind {
        self.0.kind()
    }

    async fn carry(
        &self,
        operations: &Operations,
        operation: &Operation,
        time_left: Duration,
        hold: &Hold,
    ) -> Result<(), StepError> {
        let (looping, kind) = (&self.0, self.0.kind());
        let read = || {
            let input = operation.asked::<L::Input>()?;
            let (state, steps) = match &operation.checkpoint {
                Some(kept) => (looping.read(kept.version, kept.state.clone())?, kept.steps),
                None => (looping.begin(&input), 0),
            };
            Ok::<_, serde_json::Error>((input, state, steps))
        };
        let (input, state, steps) = match read() {
            Ok(read) => read,
            Err(error) => return operations.end_unreadable(hold, kind, &error.into()).await,
        };
        let course = Course { operations, looping, kind, operation, input: &input, hold };
        course.go(state, steps, Instant::now() + time_left).await
    }
}

/// One operation on its way.
struct Course<'a, L: Loop> {
    operations: &'a Operations,
    looping: &'a L,
    kind: &'static Kind,
    operation: &'a Operation,
    input: &'a L::Input,
    hold: &'a Hold,
}

impl<L: Loop> Course<'_, L> {
    async fn go(&self, state: L::State, steps: usize, deadline: Instant) -> Result<(), StepError> {
        let operation = self.operation;
        if operation.direction == Direction::Back {
            let failure = operation.failure.clone();
            let failure = failure.unwrap_or_else(|| StepError::Cancelled.explain(CLOSE));
            return self.close(&state, Some(failure)).await;
        }
        if operation.crashes > retry::CRASHES {
            return self.give_up(&state, StepError::Crashed(operation.crashes).explain("start")).await;
        }
        if self.is_cancelled() {
            return self.give_up(&state, StepError::Cancelled.explain("start")).await;
        }
        self.forward(state, steps, deadline).await
    }

    fn is_cancelled(&self) -> bool {
        self.kind.cancellable && self.hold.cancel().is_cancelled()
    }

    async fn forward(&self, mut state: L::State, mut steps: usize, mut deadline: Instant) -> Result<(), StepError> {
        // A step that was begun and not done: the server ended in the middle of it, or it is tried again.
        let mut begun = self.operation.progress > steps;
        let mut unknown = begun;
        let mut retries = self.operation.retries;
        loop {
            let Next::Step(step) = self.looping.next(self.input, &state) else {
                return self.close(&state, None).await;
            };
            if self.is_cancelled() {
                return self.give_up(&state, StepError::Cancelled.explain(step.name)).await;
            }
            if self.operations.is_handing_over() {
                let progress = (!unknown).then_some(steps);
                return self.operations.put_back(self.hold, step.name, &StepError::HandedOver, retries, progress).await;
            }
            if !begun {
                self.begin(steps + 1, step.name).await?;
            }
            let inbox = Inbox::new(self.operations.store.signals(self.operation.id).await?);
            match self.step(step, &state, &inbox, unknown).await {
                Ok(Outcome::Repeat(other)) => {
                    // Written before it is done again, so that the loss is counted whatever happens then.
                    state = other;
                    unknown = false;
                    self.keep(&state, steps, None, &[], Some(step.name)).await?;
                }
                Ok(Outcome::Came(came)) => {
                    let seen = inbox.taken();
                    steps += 1;
                    match came {
                        Came::Waits(after, wait) => return self.suspend(&after, steps, step.name, &seen, &wait).await,
                        Came::Further(after) => state = after,
                    }
                    let next = match self.looping.next(self.input, &state) {
                        Next::Step(next) => Some(next.name),
                        Next::End => None,
                    };
                    self.keep(&state, steps, Some(step.name), &seen, next).await?;
                    (begun, unknown, retries) = (next.is_some(), false, 0);
                    deadline = Instant::now() + self.operations.settings.patience;
                }
                Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                Err(error @ StepError::Cancelled) => return self.give_up(&state, error.explain(step.name)).await,
                Err(error) => {
                    // What was dropped in the middle may have happened; what answered with an error has not.
                    let dropped = matches!(error, StepError::Hung { .. } | StepError::HandedOver);
                    let progress = (!dropped && !unknown).then_some(steps);
                    let worth_it = matches!(error, StepError::HandedOver)
                        || (retry::is_worth_it(&error, retries, false) && Instant::now() < deadline);
                    if worth_it {
                        return self.operations.put_back(self.hold, step.name, &error, retries, progress).await;
                    }
                    tracing::warn!(step = step.name, %error, "a step failed");
                    return self.give_up(&state, error.explain(step.name)).await;
                }
            }
        }
    }

    /// Does a step, or asks the loop about one whose outcome is not known.
    async fn step(
        &self,
        step: LoopStep,
        state: &L::State,
        inbox: &Inbox,
        unknown: bool,
    ) -> Result<Outcome<L::State>, StepError> {
        let turn = self.turn(state, inbox);
        let bounds = Bounds {
            limit: step.limit,
            cancel: step.can_be_interrupted && self.kind.cancellable,
            hand_over: step.can_be_interrupted,
        };
        if !(unknown && step.once) {
            return self.operations.attempt(self.hold, bounds, self.looping.act(step, turn)).await.map(Outcome::Came);
        }
        let told = "a server ended in the middle of this step: its outcome is not known";
        self.operations.record(self.hold, step.name, EventKind::Line, told).await?;
        match self.operations.attempt(self.hold, bounds, self.looping.recover(step, turn)).await? {
            Recovery::Happened(came) => Ok(Outcome::Came(came)),
            Recovery::Repeat(state) => Ok(Outcome::Repeat(state)),
            Recovery::GiveUp(failure) => Err(StepError::GivenUp(Box::new(failure))),
        }
    }

    /// Turns the operation: from here on it is closed as failed or cancelled, whichever server works on it.
    async fn give_up(&self, state: &L::State, failure: Failure) -> Result<(), StepError> {
        let operations = self.operations;
        operations.store.turn_back(self.hold.lease(), &failure, operations.clock.now()).await?;
        operations.tell(self.operation.id);
        self.close(state, Some(failure)).await
    }

    async fn close(&self, state: &L::State, failure: Option<Failure>) -> Result<(), StepError> {
        let (operations, kind) = (self.operations, self.kind);
        let turned = self.operation.direction == Direction::Back;
        let retries = if turned || failure.is_none() { self.operation.retries } else { 0 };
        let end = match &failure {
            None => End::Succeeded,
            Some(failure) if was_cancelled(failure) => End::Cancelled,
            Some(failure) => End::Failed(failure),
        };
        let inbox = Inbox::new(operations.store.signals(self.operation.id).await?);
        let bounds = Bounds { limit: operations.settings.step_limit, cancel: false, hand_over: false };
        let closed = if turned && self.operation.crashes > retry::CRASHES {
            Err(StepError::Crashed(self.operation.crashes))
        } else {
            operations.attempt(self.hold, bounds, self.looping.close(end, self.turn(state, &inbox))).await
        };
        match (closed, failure) {
            (Ok(done), None) => operations.end_well(self.hold, kind, done).await,
            (Ok(done), Some(failure)) => {
                let cancelled = was_cancelled(&failure);
                let state = if cancelled { OperationState::Cancelled } else { OperationState::Failed };
                let effect = match &kind.failing {
                    Failing::Undo(effect) => effect.clone(),
                    Failing::Stay { effect, .. } if !cancelled => effect.clone(),
                    Failing::Stay { .. } => done.effect,
                };
                operations.end_badly(self.hold, kind, state, effect, failure).await
            }
            (Err(StepError::LeaseLost), _) => Err(StepError::LeaseLost),
            (Err(error), _) if error.class() == Class::Away || retry::is_worth_it(&error, retries, true) => {
                operations.put_back(self.hold, CLOSE, &error, retries, None).await
            }
            (Err(error), failure) => {
                tracing::error!(%error, "a loop could not be closed; an operator has to look");
                operations.record(self.hold, CLOSE, EventKind::UndoFailed, &error.to_string()).await?;
                let failure = failure.unwrap_or_else(|| error.explain(CLOSE));
                operations.end_badly(self.hold, kind, OperationState::Stuck, kind.stuck.clone(), failure).await
            }
        }
    }

    fn turn<'t>(&'t self, state: &'t L::State, inbox: &'t Inbox) -> Turn<'t, L> {
        Turn { operation: self.operation, input: self.input, state, inbox, hold: self.hold }
    }

    /// Records that a step begins, before it does.
    async fn begin(&self, progress: usize, step: &str) -> Result<(), StepError> {
        let operations = self.operations;
        let started = NewEvent { step, event: EventKind::Started, detail: "" };
        operations.store.advance(self.hold.lease(), progress, &[started], operations.clock.now()).await?;
        operations.tell(self.operation.id);
        Ok(())
    }

    async fn keep(
        &self,
        state: &L::State,
        steps: usize,
        done: Option<&str>,
        seen: &[SignalKey],
        next: Option<&str>,
    ) -> Result<(), StepError> {
        let (checkpoint, operations) = (self.checkpoint(state, steps)?, self.operations);
        let step = StepDone { checkpoint: &checkpoint, done, seen };
        operations.store.step_done(self.hold.lease(), step, next, operations.clock.now()).await?;
        operations.tell(self.operation.id);
        Ok(())
    }

    async fn suspend(
        &self,
        state: &L::State,
        steps: usize,
        step: &str,
        seen: &[SignalKey],
        wait: &Wait,
    ) -> Result<(), StepError> {
        let (checkpoint, operations) = (self.checkpoint(state, steps)?, self.operations);
        let step = StepDone { checkpoint: &checkpoint, done: Some(step), seen };
        let until = Until { after: wait.time, signal: wait.signal.as_deref() };
        operations.store.suspend(self.hold.lease(), step, until, operations.clock.now()).await?;
        operations.tell(self.operation.id);
        // Its time may come before the next look at those who wait.
        operations.suspended.notify_one();
        Ok(())
    }

    fn checkpoint(&self, state: &L::State, steps: usize) -> Result<Checkpoint, StepError> {
        Ok(Checkpoint { version: self.kind.checkpoint, steps, state: serde_json::to_value(state)? })
    }
}

/// What a step, or a look at what became of one, came to.
enum Outcome<S> {
    Came(Came<S>),
    Repeat(S),
}
