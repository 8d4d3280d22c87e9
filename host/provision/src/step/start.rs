//! Starts the container; moves it to another port where somebody else sits on its own.

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_runtime::RuntimeError;

use super::network::Network;
use super::{Step, StepError, container, removal};
use crate::work::Work;

/// Ports tried before giving up: the first and two others.
const TRIES: usize = 3;

pub(crate) struct Start;

#[async_trait]
impl Step for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let name = work.name();
        let (mut taken, mut sorted_out) = (Vec::new(), false);
        loop {
            match work.runtime()?.start(&name).await {
                Ok(()) => return Ok(()),
                Err(RuntimeError::PortTaken { port }) => taken.push(port),
                // What a server that ended had asked for came to be after all. It is made sure of again, once.
                Err(RuntimeError::Ambiguous { .. }) if !sorted_out => {
                    sorted_out = true;
                    Network.act(work).await?;
                    continue;
                }
                Err(other) => return Err(other.into()),
            }
            // The container exists with the wrong port in it.
            removal::remove_container(work).await?;
            if taken.len() == TRIES {
                return Err(StepError::PortsTaken(taken));
            }
            let port = work.move_port().await?;
            let last = taken.last().copied().unwrap_or_default();
            let detail = format!("another program listens on port {last}; trying {port}");
            work.record(self.name(), EventKind::Line, &detail).await?;
            container::create(work, &work.workload().await?).await?;
        }
    }

    /// The step before removes the container, running or not.
    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
