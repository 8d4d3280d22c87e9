//! One attempt at a step, and how an operation is put back, turned or ended after it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use convergence_model::Code;
use convergence_model::operation::{EventKind, Failure, OperationState};
use convergence_store::{Effect, Ending, NewEvent};
use futures_util::FutureExt;

use crate::error::StepError;
use crate::hold::Hold;
use crate::kind::Kind;
use crate::{Done, Operations, retry};

/// How a step may be stopped in the middle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// How long it may take.
    pub(crate) limit: Duration,
    /// Whether it may be dropped when somebody cancels the operation.
    pub(crate) cancel: bool,
    /// Whether it may be dropped when the server stops.
    pub(crate) hand_over: bool,
}

impl Operations {
    /// Does a step, unless somebody cancels the operation or the server stops first.
    pub(crate) async fn attempt<T>(
        &self,
        hold: &Hold,
        bounds: Bounds,
        step: impl Future<Output = Result<T, StepError>> + Send,
    ) -> Result<T, StepError> {
        // A panic is a defect of the step: the operation fails, the server does not.
        let step = AssertUnwindSafe(step).catch_unwind();
        tokio::select! {
            biased;
            () = hold.cancel().cancelled(), if bounds.cancel => Err(StepError::Cancelled),
            () = self.handing_over.cancelled(), if bounds.hand_over => Err(StepError::HandedOver),
            outcome = tokio::time::timeout(bounds.limit, step) => match outcome {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Err(StepError::Panicked(message(panic.as_ref()))),
                Err(_elapsed) => Err(StepError::Hung { after: bounds.limit }),
            }
        }
    }

    /// Puts an operation back into the queue: something is in the way that may pass, or the server stops.
    pub(crate) async fn put_back(
        &self,
        hold: &Hold,
        step: &str,
        why: &StepError,
        retries: u32,
        progress: Option<usize>,
    ) -> Result<(), StepError> {
        let id = hold.lease().operation;
        let (event, pause) = match why {
            StepError::HandedOver => (EventKind::HandedOver, Duration::ZERO),
            _ => (EventKind::Waiting, retry::pause(self.settings.pause, retries, id.0.as_u128())),
        };
        tracing::info!(step, %why, ?pause, "put back into the queue");
        let detail = why.to_string();
        let event = NewEvent { step, event, detail: &detail };
        self.store.put_back(hold.lease(), pause, progress, event, self.clock.now()).await?;
        Ok(())
    }

    pub(crate) async fn end_well(&self, hold: &Hold, kind: &Kind, done: Done) -> Result<(), StepError> {
        let Done { effect, result } = done;
        let state = OperationState::Succeeded;
        self.end(hold, Ending { state, failure: None, result, effect, action: kind.done_action }).await
    }

    pub(crate) async fn end_badly(
        &self,
        hold: &Hold,
        kind: &Kind,
        state: OperationState,
        effect: Effect,
        failure: Failure,
    ) -> Result<(), StepError> {
        if state == OperationState::Stuck {
            tracing::error!(step = failure.step, code = %failure.code, "stuck; an operator has to look");
        }
        self.end(hold, Ending { state, failure: Some(failure), result: None, effect, action: kind.failed_action }).await
    }

    /// Nothing can be done about an operation that cannot be read, neither forward nor back.
    pub(crate) async fn end_unreadable(&self, hold: &Hold, kind: &Kind, error: &StepError) -> Result<(), StepError> {
        self.end_badly(hold, kind, OperationState::Stuck, kind.stuck.clone(), error.explain("start")).await
    }

    async fn end(&self, hold: &Hold, ending: Ending) -> Result<(), StepError> {
        self.store.end(hold.lease(), &ending, self.clock.now()).await?;
        tracing::info!(state = ending.state.as_str(), "over");
        Ok(())
    }

    pub(crate) fn is_handing_over(&self) -> bool {
        self.handing_over.is_cancelled()
    }
}

/// Whether an operation failed because somebody cancelled it.
pub(crate) fn was_cancelled(failure: &Failure) -> bool {
    failure.code == Code::Cancelled
}

/// What a panic said.
fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it said nothing".to_owned())
}
