//! The course of one operation: its steps forward, and back again if one of them fails for good.
//!
//! Which way an operation goes and how far it got is in the store before anything is done about it, so whoever takes it
//! after a crash goes on the same way. Going forward, every step is done again from the first one on, since each keeps what
//! is as it should be, and what an earlier attempt made may be gone by now. Going back begins at the last step that was
//! ever begun.

use std::time::Duration;

use convergence_model::operation::{Direction, EventKind, Failure, Made, Operation, OperationKind, OperationState};
use convergence_model::{OperationId, Scope};
use convergence_store::{Ending, Fate, NewEvent};
use tokio::time::Instant;

use crate::Provisioner;
use crate::failure::{self, explain};
use crate::hold::Hold;
use crate::operations::{self, Failing, Recipe};
use crate::retry::{self, Class};
use crate::spawn;
use crate::step::{Step, StepError};
use crate::work::Work;

/// The pause between attempts to write down what happened, while the store does not answer.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// What going one way came to.
enum Way {
    /// To its end.
    Through,
    /// Back into the queue, for now.
    PutBack,
    /// A step failed for good.
    Failed(Failure),
}

impl Provisioner {
    /// Carries an operation as far as it gets. An error means that nothing could be recorded; everything else is.
    pub(crate) async fn go(&self, operation: Operation, time_left: Duration, hold: &Hold) -> Result<(), StepError> {
        let (id, retries) = (operation.id, operation.retries);
        loop {
            match self.run(operation.clone(), time_left, hold).await {
                // The store does not answer. Everything can be repeated, so it goes back into the queue, once that can be
                // written down; if it cannot be for as long as the lease, the lease runs out to the same effect.
                Err(error) if retry::classify(&error) == Class::Away => {
                    tokio::time::sleep(STORE_PAUSE).await;
                    let why = error.to_string();
                    let event = NewEvent { step: "store", event: EventKind::Waiting, detail: &why };
                    let pause = self.pause(retries, id);
                    match self
                        .store
                        .put_back(&hold.lease, pause, event, self.clock.now())
                        .await
                        .map_err(StepError::from)
                    {
                        Err(error) if retry::classify(&error) == Class::Away => hold.check()?,
                        put_back => return put_back,
                    }
                }
                outcome => return outcome,
            }
        }
    }

    async fn run(&self, operation: Operation, time_left: Duration, hold: &Hold) -> Result<(), StepError> {
        let recipe = operations::recipe(operation.kind);
        let work = match self.take_up(operation.clone(), hold).await {
            Ok(work) => work,
            Err(error) if retry::classify(&error) == Class::Away => return Err(error),
            // Nothing can be done about what cannot be read, neither forward nor back.
            Err(error) => {
                let nothing = Work { provisioner: self, hold, operation, target: None };
                let failure = explain("start", &error);
                return self.end_badly(&nothing, recipe, OperationState::Stuck, Fate::Failed, failure).await;
            }
        };
        if work.operation.direction == Direction::Back {
            return self.back(&work, recipe, work.operation.failure.clone(), work.operation.progress).await;
        }
        let mut begun = work.operation.progress;
        match self.forward(&work, recipe, Instant::now() + time_left, &mut begun).await? {
            Way::PutBack => Ok(()),
            Way::Through => {
                let ending = Ending {
                    state: OperationState::Succeeded,
                    failure: None,
                    result: work.made().await?,
                    fate: recipe.done.0,
                    action: recipe.done.1,
                };
                self.end(&work, &ending).await
            }
            Way::Failed(failure) => match recipe.failing {
                Failing::Stay(state, fate) => {
                    let cancelled = (OperationState::Cancelled, Fate::Untouched);
                    let (state, fate) = if failure.code == failure::CANCELLED { cancelled } else { (state, fate) };
                    work.record(&failure.step, EventKind::Failed, &failure.message).await?;
                    self.end_badly(&work, recipe, state, fate, failure).await
                }
                Failing::Undo => {
                    self.store.turn_back(&hold.lease, &failure, self.clock.now()).await?;
                    self.back(&work, recipe, Some(failure), begun).await
                }
            },
        }
    }

    async fn take_up<'a>(&'a self, operation: Operation, hold: &'a Hold) -> Result<Work<'a>, StepError> {
        let scope = Scope::platform();
        let target = if operation.kind == OperationKind::Sweep {
            None
        } else {
            let tenant = self.store.tenant(&scope, operation.env_id).await?.ok_or(StepError::Gone)?;
            let revision = self.store.latest_revision(&scope, tenant.id).await?.ok_or(StepError::Gone)?;
            Some((tenant, revision))
        };
        Ok(Work { provisioner: self, hold, operation, target })
    }

    /// Does the steps in order. `begun` is how many were ever begun.
    async fn forward(
        &self,
        work: &Work<'_>,
        recipe: &Recipe,
        deadline: Instant,
        begun: &mut usize,
    ) -> Result<Way, StepError> {
        if work.operation.crashes > retry::CRASHES {
            return Ok(Way::Failed(explain("start", &StepError::Crashed(work.operation.crashes))));
        }
        let mut retries = work.operation.retries;
        let mut done: Option<&str> = None;
        for (index, step) in recipe.steps.iter().enumerate() {
            // What an earlier attempt told of is not told again.
            if index >= *begun {
                self.advance(work, index + 1, done.take(), Some(step.name())).await?;
                (*begun, retries) = (index + 1, 0);
            }
            match self.attempt(work, *step, recipe).await {
                Ok(()) if index + 1 >= *begun => done = Some(step.name()),
                Ok(()) => {}
                Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                Err(error @ StepError::HandedOver) => {
                    return self.put_back(work, step.name(), &error, retries).await;
                }
                Err(error @ StepError::Cancelled) => return Ok(Way::Failed(explain(step.name(), &error))),
                Err(error)
                    if retry::is_worth_it(&error, retries, recipe.is_last_resort(Direction::Forward))
                        && Instant::now() < deadline =>
                {
                    return self.put_back(work, step.name(), &error, retries).await;
                }
                Err(error) => {
                    tracing::warn!(step = step.name(), %error, "a step failed");
                    return Ok(Way::Failed(explain(step.name(), &error)));
                }
            }
        }
        self.advance(work, *begun, done, None).await?;
        Ok(Way::Through)
    }

    /// Undoes the last `begun` steps, the last one first.
    async fn back(
        &self,
        work: &Work<'_>,
        recipe: &Recipe,
        failure: Option<Failure>,
        begun: usize,
    ) -> Result<(), StepError> {
        let failure = failure.unwrap_or_else(|| explain("start", &StepError::Gone));
        let mut retries = if work.operation.direction == Direction::Back { work.operation.retries } else { 0 };
        if work.operation.direction == Direction::Back && work.operation.crashes > retry::CRASHES {
            let failure = explain("undo", &StepError::Crashed(work.operation.crashes));
            return self.end_badly(work, recipe, OperationState::Stuck, Fate::Failed, failure).await;
        }
        for (index, step) in recipe.steps.iter().enumerate().take(begun).rev() {
            let limit = step.limit(&self.settings);
            let undone = match tokio::time::timeout(limit, step.undo(work)).await {
                Ok(undone) => undone,
                Err(_elapsed) => Err(StepError::Hung { after: limit }),
            };
            match undone {
                Ok(()) => {
                    self.store.step_back(&work.hold.lease, index + 1, step.name(), self.clock.now()).await?;
                    let _ = self.news.send(work.operation.id);
                    retries = 0;
                }
                Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                Err(error) if retry::is_worth_it(&error, retries, recipe.is_last_resort(Direction::Back)) => {
                    return self.put_back(work, step.name(), &error, retries).await.map(drop);
                }
                Err(error) => {
                    tracing::error!(step = step.name(), %error, "a step could not be undone; an operator has to look");
                    work.record(step.name(), EventKind::UndoFailed, &error.to_string()).await?;
                    return self.end_badly(work, recipe, OperationState::Stuck, Fate::Failed, failure).await;
                }
            }
            if self.handing_over.is_cancelled() && index > 0 {
                return self.put_back(work, step.name(), &StepError::HandedOver, retries).await.map(drop);
            }
        }
        let cancelled = failure.code == failure::CANCELLED;
        let state = if cancelled { OperationState::Cancelled } else { OperationState::Failed };
        self.end_badly(work, recipe, state, Fate::Gone, failure).await
    }

    /// Does a step, unless somebody cancels the operation or the server stops first.
    async fn attempt(&self, work: &Work<'_>, step: &dyn Step, recipe: &Recipe) -> Result<(), StepError> {
        let (cancel, hand_over) = (&work.hold.cancel, &self.handing_over);
        let cancellable = recipe.cancellable;
        if cancellable && cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if hand_over.is_cancelled() {
            return Err(StepError::HandedOver);
        }
        let interruptible = step.can_be_interrupted();
        let limit = step.limit(&self.settings);
        tokio::select! {
            biased;
            () = cancel.cancelled(), if interruptible && cancellable => Err(StepError::Cancelled),
            () = hand_over.cancelled(), if interruptible => Err(StepError::HandedOver),
            outcome = tokio::time::timeout(limit, step.act(work)) => {
                outcome.unwrap_or(Err(StepError::Hung { after: limit }))
            }
        }
    }

    /// Records that a step is done and that the next one begins, in one transaction: a commit waits for the disk, and
    /// between the two nothing happens that anybody could be told of.
    async fn advance(
        &self,
        work: &Work<'_>,
        progress: usize,
        done: Option<&str>,
        next: Option<&str>,
    ) -> Result<(), StepError> {
        let done = done.map(|step| NewEvent { step, event: EventKind::Done, detail: "" });
        let next = next.map(|step| NewEvent { step, event: EventKind::Started, detail: "" });
        let events: Vec<_> = done.into_iter().chain(next).collect();
        if events.is_empty() {
            return Ok(());
        }
        self.store.advance(&work.hold.lease, progress, &events, self.clock.now()).await?;
        let _ = self.news.send(work.operation.id);
        Ok(())
    }

    fn pause(&self, retries: u32, id: OperationId) -> Duration {
        retry::pause(self.settings.operations.pause, retries, id.0.as_u128())
    }

    async fn put_back(&self, work: &Work<'_>, step: &str, why: &StepError, retries: u32) -> Result<Way, StepError> {
        let (event, pause) = match why {
            StepError::HandedOver => (EventKind::HandedOver, Duration::ZERO),
            _ => (EventKind::Waiting, self.pause(retries, work.operation.id)),
        };
        tracing::info!(step, %why, ?pause, "put back into the queue");
        let detail = why.to_string();
        let event = NewEvent { step, event, detail: &detail };
        self.store.put_back(&work.hold.lease, pause, event, self.clock.now()).await?;
        Ok(Way::PutBack)
    }

    async fn end_badly(
        &self,
        work: &Work<'_>,
        recipe: &Recipe,
        state: OperationState,
        fate: Fate,
        failure: Failure,
    ) -> Result<(), StepError> {
        if state == OperationState::Stuck {
            tracing::error!(step = failure.step, code = failure.code, "stuck; an operator has to look");
        }
        let ending = Ending { state, failure: Some(failure), result: None, fate, action: recipe.failed };
        self.end(work, &ending).await
    }

    async fn end(&self, work: &Work<'_>, ending: &Ending) -> Result<(), StepError> {
        self.store.end(&work.hold.lease, ending, self.clock.now()).await?;
        tracing::info!(state = ending.state.as_str(), "over");
        Ok(())
    }
}

impl Work<'_> {
    /// What a spawn made, for answers that are given when the tenant may be gone again.
    async fn made(&self) -> Result<Option<Made>, StepError> {
        let (OperationKind::Spawn, Some((tenant, _))) = (self.operation.kind, &self.target) else { return Ok(None) };
        Ok(Some(spawn::made(tenant, &self.binding().await?)))
    }
}
