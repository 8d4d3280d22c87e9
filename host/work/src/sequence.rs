//! Kinds whose steps are a list: forward, and back again if one of them fails for good.
//!
//! Which way an operation goes and how far it got is in the store before anything is done about it, so the server that takes it
//! after a crash goes on the same way. Going forward, every step is done again from the first one on, since each keeps what
//! is as it should be, and what an earlier attempt made may be gone by now. Going back begins at the last step that was
//! ever begun.

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::{Direction, EventKind, Failure, Operation, OperationState};
use convergence_store::{Effect, NewEvent, StoreError};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::attempt::{Bounds, was_cancelled};
use crate::error::{Class, StepError};
use crate::hold::Hold;
use crate::kind::{Carry, Done, Failing, Kind};
use crate::{Operations, retry};

/// A kind whose steps are a list that can be undone.
#[async_trait]
pub trait Sequence: Send + Sync + 'static {
    /// What it is asked.
    type Input: DeserializeOwned + Send;

    /// What it says about itself.
    fn kind(&self) -> &'static Kind;

    /// Its steps, in order.
    fn steps(&self) -> Vec<StepInfo>;

    /// Takes an operation up: looks up what its steps work on.
    ///
    /// # Errors
    /// Nothing can be done about it; it is stuck. Where something everything needs is away, it is tried again.
    async fn take_up<'a>(
        &'a self,
        operation: &'a Operation,
        input: Self::Input,
        hold: &'a Hold,
    ) -> Result<Box<dyn Run + 'a>, StepError>;
}

/// One step of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepInfo {
    /// As events and failures name it.
    pub name: &'static str,
    /// How long either half may take before it is taken for hanging.
    pub limit: Duration,
    /// Whether it may be dropped in the middle when somebody cancels the operation or the server stops. What was asked of
    /// the world outside may still happen after that, so a step that makes something is let finish.
    pub can_be_interrupted: bool,
}

/// One operation, taken up. Both halves of a step are safe to run twice, and `undo` also after half an `act`.
#[async_trait]
pub trait Run: Send + Sync {
    /// Does a step.
    async fn act(&self, step: usize) -> Result<(), StepError>;

    /// Removes what a step made, and nothing that was there before.
    async fn undo(&self, step: usize) -> Result<(), StepError>;

    /// What it leaves, once all steps are done.
    async fn done(&self) -> Result<Done, StepError>;
}

/// Carries out the operations of one kind.
pub(crate) struct Carrier<S>(pub(crate) S);

#[async_trait]
impl<S: Sequence> Carry for Carrier<S> {
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
        let (kind, steps) = (self.0.kind(), self.0.steps());
        let taken_up = match operation.asked::<S::Input>() {
            Ok(input) => self.0.take_up(operation, input, hold).await,
            Err(error) => Err(error.into()),
        };
        match taken_up {
            Ok(run) => {
                let course = Course { operations, kind, steps: &steps, run: run.as_ref(), operation, hold };
                course.go(Instant::now() + time_left).await
            }
            Err(error) if matches!(error.class(), Class::Away | Class::Lost) => Err(error),
            Err(error) => operations.end_unreadable(hold, kind, &error).await,
        }
    }
}

/// One operation on its way.
struct Course<'a> {
    operations: &'a Operations,
    kind: &'static Kind,
    steps: &'a [StepInfo],
    run: &'a dyn Run,
    operation: &'a Operation,
    hold: &'a Hold,
}

/// What going forward came to.
enum Way {
    /// To its end.
    Through,
    /// Back into the queue, for now.
    PutBack,
    /// A step failed for good.
    Failed(Failure),
}

impl Course<'_> {
    async fn go(&self, deadline: Instant) -> Result<(), StepError> {
        let operation = self.operation;
        if operation.direction == Direction::Back {
            return self.back(operation.failure.clone(), operation.progress).await;
        }
        let mut begun = operation.progress;
        match self.forward(deadline, &mut begun).await? {
            Way::PutBack => Ok(()),
            Way::Through => self.operations.end_well(self.hold, self.kind, self.run.done().await?).await,
            Way::Failed(failure) => match &self.kind.failing {
                Failing::Stay { state, effect } => {
                    let cancelled = (OperationState::Cancelled, Effect::None);
                    let (state, effect) = if was_cancelled(&failure) { cancelled } else { (*state, effect.clone()) };
                    self.operations.record(self.hold, &failure.step, EventKind::Failed, &failure.message).await?;
                    self.operations.end_badly(self.hold, self.kind, state, effect, failure).await
                }
                Failing::Undo(_) => {
                    let now = self.operations.clock.now();
                    self.operations.store.turn_back(self.hold.lease(), &failure, now).await?;
                    self.back(Some(failure), begun).await
                }
            },
        }
    }

    /// Does the steps in order. `begun` is how many were ever begun.
    async fn forward(&self, deadline: Instant, begun: &mut usize) -> Result<Way, StepError> {
        if self.operation.crashes > retry::CRASHES {
            return Ok(Way::Failed(StepError::Crashed(self.operation.crashes).explain("start")));
        }
        let mut retries = self.operation.retries;
        let mut done: Option<&str> = None;
        for (index, step) in self.steps.iter().enumerate() {
            // What an earlier attempt told of is not told again.
            if index >= *begun {
                self.advance(index + 1, done.take(), Some(step.name)).await?;
                (*begun, retries) = (index + 1, 0);
            }
            match self.attempt(index, step).await {
                Ok(()) if index + 1 >= *begun => done = Some(step.name),
                Ok(()) => {}
                Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                Err(error @ StepError::HandedOver) => return self.put_back(step.name, &error, retries).await,
                Err(error @ StepError::Cancelled) => return Ok(Way::Failed(error.explain(step.name))),
                Err(error)
                    if retry::is_worth_it(&error, retries, self.kind.gets_stuck()) && Instant::now() < deadline =>
                {
                    return self.put_back(step.name, &error, retries).await;
                }
                Err(error) => {
                    tracing::warn!(step = step.name, %error, "a step failed");
                    return Ok(Way::Failed(error.explain(step.name)));
                }
            }
        }
        self.advance(*begun, done, None).await?;
        Ok(Way::Through)
    }

    /// Undoes the last `begun` steps, the last one first.
    async fn back(&self, failure: Option<Failure>, begun: usize) -> Result<(), StepError> {
        let (operations, kind, operation) = (self.operations, self.kind, self.operation);
        let failure = failure.unwrap_or_else(|| nameless(operation));
        let was_back = operation.direction == Direction::Back;
        let mut retries = if was_back { operation.retries } else { 0 };
        if was_back && operation.crashes > retry::CRASHES {
            let failure = StepError::Crashed(operation.crashes).explain("undo");
            return operations.end_badly(self.hold, kind, OperationState::Stuck, kind.stuck.clone(), failure).await;
        }
        for (index, step) in self.steps.iter().enumerate().take(begun).rev() {
            let bounds = Bounds { limit: step.limit, cancel: false, hand_over: false };
            match operations.attempt(self.hold, bounds, self.run.undo(index)).await {
                Ok(()) => {
                    let now = operations.clock.now();
                    operations.store.step_back(self.hold.lease(), index + 1, step.name, now).await?;
                    operations.tell(operation.id);
                    retries = 0;
                }
                Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                Err(error) if retry::is_worth_it(&error, retries, true) => {
                    return self.put_back(step.name, &error, retries).await.map(drop);
                }
                Err(error) => {
                    tracing::error!(step = step.name, %error, "a step could not be undone; an operator has to look");
                    operations.record(self.hold, step.name, EventKind::UndoFailed, &error.to_string()).await?;
                    let (state, effect) = (OperationState::Stuck, kind.stuck.clone());
                    return operations.end_badly(self.hold, kind, state, effect, failure).await;
                }
            }
            if operations.is_handing_over() && index > 0 {
                return self.put_back(step.name, &StepError::HandedOver, retries).await.map(drop);
            }
        }
        let state = if was_cancelled(&failure) { OperationState::Cancelled } else { OperationState::Failed };
        let effect = match &kind.failing {
            Failing::Undo(effect) | Failing::Stay { effect, .. } => effect.clone(),
        };
        operations.end_badly(self.hold, kind, state, effect, failure).await
    }

    /// Does a step, unless somebody cancels the operation or the server stops first.
    async fn attempt(&self, index: usize, step: &StepInfo) -> Result<(), StepError> {
        if self.kind.cancellable && self.hold.cancel().is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if self.operations.is_handing_over() {
            return Err(StepError::HandedOver);
        }
        let bounds = Bounds {
            limit: step.limit,
            cancel: step.can_be_interrupted && self.kind.cancellable,
            hand_over: step.can_be_interrupted,
        };
        self.operations.attempt(self.hold, bounds, self.run.act(index)).await
    }

    /// Records that a step is done and that the next one begins, in one transaction: a commit waits for the disk, and
    /// between the two nothing happens that anybody could be told of.
    async fn advance(&self, progress: usize, done: Option<&str>, next: Option<&str>) -> Result<(), StepError> {
        let done = done.map(|step| NewEvent { step, event: EventKind::Done, detail: "" });
        let next = next.map(|step| NewEvent { step, event: EventKind::Started, detail: "" });
        let events: Vec<_> = done.into_iter().chain(next).collect();
        if events.is_empty() {
            return Ok(());
        }
        let operations = self.operations;
        operations.store.advance(self.hold.lease(), progress, &events, operations.clock.now()).await?;
        operations.tell(self.operation.id);
        Ok(())
    }

    async fn put_back(&self, step: &str, why: &StepError, retries: u32) -> Result<Way, StepError> {
        self.operations.put_back(self.hold, step, why, retries, None).await?;
        Ok(Way::PutBack)
    }
}

/// The row does not say why it is being undone; it was changed by hand.
fn nameless(operation: &Operation) -> Failure {
    let reason = "it is being undone and does not say why".to_owned();
    let corrupt = StoreError::Corrupt { table: "operations", id: operation.id.to_string(), reason };
    StepError::Store(corrupt).explain("start")
}
