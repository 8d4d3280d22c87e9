//! A loop made for the tests: each round makes something that may be made twice, does something once, and waits a moment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::Lane;
use convergence_runtime::fake::FakeRuntime;
use convergence_runtime::{Builder, Runtime, RuntimeError};
use convergence_work::{
    Came, Class, Done, Effect, End, Failing, Kind, Loop, LoopStep, Next, Recovery, StepError, StepFailure, Turn, Wait,
};
use serde::{Deserialize, Serialize};

use crate::bench::labels;

pub(crate) static KIND: Kind = Kind {
    name: "rehearsal",
    lane: Lane::Network,
    exclusive: true,
    yields: false,
    cancellable: true,
    checkpoint: 1,
    failing: Failing::Undo(Effect::None),
    stuck: Effect::None,
    asked_action: "rehearsal.asked",
    done_action: "rehearsal.done",
    failed_action: "rehearsal.failed",
};

/// What the step that is once asks the engine for.
pub(crate) const ONCE: &str = "once";
/// A call that hangs is taken for hanging soon.
const LIMIT: Duration = Duration::from_millis(400);
const MAKE: LoopStep = LoopStep { name: "make", limit: LIMIT, once: false, can_be_interrupted: false };
const CALL: LoopStep = LoopStep { name: "call", limit: LIMIT, once: true, can_be_interrupted: false };
const REST: LoopStep = LoopStep { name: "rest", limit: LIMIT, once: false, can_be_interrupted: true };

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) rounds: u32,
    /// Waits for a signal instead of a moment.
    #[serde(default)]
    pub(crate) signal: bool,
    /// How long a moment is.
    #[serde(default)]
    pub(crate) rest_millis: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Far {
    steps: u32,
    /// Calls that had to be made again, since nobody knows whether they were made.
    pub(crate) repeated: u32,
    /// What it was told.
    pub(crate) told: Vec<String>,
}

/// The loop.
pub(crate) struct Rehearsal {
    pub(crate) runtime: Arc<FakeRuntime>,
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Trouble(#[from] RuntimeError);

impl StepFailure for Trouble {
    fn class(&self) -> Class {
        match self.0 {
            RuntimeError::Unreachable { .. } => Class::Away,
            _ => Class::Final,
        }
    }

    fn explain(&self, step: &str) -> convergence_model::operation::Failure {
        StepError::Panicked(self.to_string()).explain(step)
    }
}

#[async_trait]
impl Loop for Rehearsal {
    type Input = Asked;
    type State = Far;

    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn begin(&self, _asked: &Asked) -> Far {
        Far::default()
    }

    fn next(&self, asked: &Asked, far: &Far) -> Next {
        match (far.steps < asked.rounds * 3, far.steps % 3) {
            (false, _) => Next::End,
            (true, 0) => Next::Step(MAKE),
            (true, 1) => Next::Step(CALL),
            (true, _) => Next::Step(REST),
        }
    }

    async fn act(&self, step: LoopStep, turn: Turn<'_, Self>) -> Result<Came<Far>, StepError> {
        let mut far = turn.state.clone();
        far.steps += 1;
        far.told.extend(turn.inbox.take("go").into_iter().map(|signal| signal.key.key));
        turn.hold.check()?;
        match step.name {
            "make" => {
                let name = volume(&turn, turn.state.steps);
                self.runtime.ensure_volume(&name, &labels(0)).await.map_err(Trouble)?;
            }
            "call" => _ = self.runtime.image_id(ONCE).await.map_err(Trouble)?,
            _ => {
                let time = (!turn.input.signal).then_some(Duration::from_millis(turn.input.rest_millis));
                let signal = turn.input.signal.then(|| "go".to_owned());
                return Ok(Came::Waits(far, Wait { time, signal }));
            }
        }
        Ok(Came::Further(far))
    }

    async fn recover(&self, _step: LoopStep, turn: Turn<'_, Self>) -> Result<Recovery<Far>, StepError> {
        Ok(Recovery::Repeat(Far { repeated: turn.state.repeated + 1, ..turn.state.clone() }))
    }

    async fn close(&self, _end: End<'_>, turn: Turn<'_, Self>) -> Result<Done, StepError> {
        for step in (0..turn.input.rounds * 3).step_by(3) {
            turn.hold.check()?;
            let owner =
                convergence_runtime::Owner { instance: crate::bench::INSTANCE, tenant: convergence_model::EnvId(0) };
            _ = self.runtime.remove_volume(&volume(&turn, step), owner).await.map_err(Trouble)?;
        }
        Ok(Done { effect: Effect::None, result: Some(serde_json::to_value(turn.state)?) })
    }
}

fn volume(turn: &Turn<'_, Rehearsal>, step: u32) -> String {
    format!("rehearsal-{}-{step}", turn.operation.id)
}
