//! A loop that a server is killed over (`cargo xtask chaos`): compiled into development builds and with the feature
//! `rehearsal`, never into a release.
//!
//! Each round notes something that may be noted twice and something that is to be noted once, in a file of the data folder, and
//! then waits a moment. Comparing the file with the operations' results shows whether anything was lost or doubled.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::{Failure, Lane};
use convergence_work::{
    Came, Class, Done, Effect, End, Failing, Kind, Loop, LoopStep, Next, Recovery, StepError, StepFailure, Turn, Wait,
};
use serde::{Deserialize, Serialize};

/// What it says about itself.
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

const LIMIT: Duration = Duration::from_secs(30);
const MAKE: LoopStep = LoopStep { name: "make", limit: LIMIT, once: false, can_be_interrupted: false };
const CALL: LoopStep = LoopStep { name: "call", limit: LIMIT, once: true, can_be_interrupted: false };
const REST: LoopStep = LoopStep { name: "rest", limit: LIMIT, once: false, can_be_interrupted: true };

/// What it is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asked {
    rounds: u32,
    /// How long each step takes: long enough that a kill meets one now and then.
    step_millis: u64,
    rest_millis: u64,
}

/// How far it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Far {
    steps: u32,
    /// Calls that were made again because nobody knows whether they were made.
    repeated: u32,
}

/// The loop.
pub(crate) struct Rehearsal {
    /// The file that everything is noted in.
    pub(crate) notes: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot note: {0}")]
struct Trouble(#[from] std::io::Error);

impl StepFailure for Trouble {
    fn class(&self) -> Class {
        Class::Doubtful
    }

    fn explain(&self, step: &str) -> Failure {
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
        match (far.steps < asked.rounds.saturating_mul(3), far.steps % 3) {
            (false, _) => Next::End,
            (true, 0) => Next::Step(MAKE),
            (true, 1) => Next::Step(CALL),
            (true, _) => Next::Step(REST),
        }
    }

    async fn act(&self, step: LoopStep, turn: Turn<'_, Self>) -> Result<Came<Far>, StepError> {
        turn.hold.check()?;
        let far = Far { steps: turn.state.steps + 1, ..turn.state.clone() };
        if step == REST {
            let time = Some(Duration::from_millis(turn.input.rest_millis));
            return Ok(Came::Waits(far, Wait { time, signal: None }));
        }
        tokio::time::sleep(Duration::from_millis(turn.input.step_millis)).await;
        turn.hold.check()?;
        self.note(&format!("{} {} {}", turn.operation.id, step.name, turn.state.steps))?;
        tokio::time::sleep(Duration::from_millis(turn.input.step_millis)).await;
        Ok(Came::Further(far))
    }

    async fn recover(&self, _step: LoopStep, turn: Turn<'_, Self>) -> Result<Recovery<Far>, StepError> {
        Ok(Recovery::Repeat(Far { repeated: turn.state.repeated + 1, ..turn.state.clone() }))
    }

    async fn close(&self, _end: End<'_>, turn: Turn<'_, Self>) -> Result<Done, StepError> {
        Ok(Done { effect: Effect::None, result: Some(serde_json::to_value(turn.state)?) })
    }
}

impl Rehearsal {
    /// One line, written whole and kept on the disk.
    fn note(&self, line: &str) -> Result<(), Trouble> {
        let mut file = File::options().create(true).append(true).open(&self.notes)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        Ok(file.sync_data()?)
    }
}
