//! Starts the workload.

use std::num::NonZeroU32;

use async_trait::async_trait;
use convergence_runtime::{Desired, RuntimeError};

use super::network::Network;
use super::{Step, StepError, container};
use crate::work::Work;

pub(crate) struct Start;

#[async_trait]
impl Step for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let running = running(work)?;
        match container::place(work, self.name(), running).await {
            // What a server that ended had asked for happened after all, so the network is there twice. It is made sure of
            // again, once.
            Err(StepError::Runtime(RuntimeError::Ambiguous { .. })) => {
                Network.act(work).await?;
                container::place(work, self.name(), running).await
            }
            done => done,
        }
    }

    /// The step before removes the workload, running or not.
    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Running, as often as the revision says.
pub(crate) fn running(work: &Work<'_>) -> Result<Desired, StepError> {
    let replicas = NonZeroU32::new(work.revision()?.limits.replicas).unwrap_or(NonZeroU32::MIN);
    Ok(Desired::Running { replicas })
}
