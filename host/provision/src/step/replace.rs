//! Puts a revision's container where the one of the revision before is, stopped; and puts that back where it does not come up.

use std::time::Duration;

use async_trait::async_trait;
use convergence_runtime::{Desired, RuntimeError};
use convergence_work::WorkSettings;

use super::image::Image;
use super::{Step, StepError, candidate, container, removal, start};
use crate::Settings;
use crate::deploy::DeployInput;
use crate::work::Work;

pub(crate) struct Replace;

#[async_trait]
impl Step for Replace {
    fn name(&self) -> &'static str {
        "container"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        if let Some(before) = work.before().await? {
            // What could not be put back is not taken away: rules may have become stricter since it was made.
            before.workload().await?;
        }
        candidate::remove(work).await?;
        container::make(work, self.name()).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        let Some(before) = work.before().await? else { return removal::remove_workload(work).await };
        // A tenant that had failed was stopped, with what it printed.
        let serves = work.operation.asked::<DeployInput>()?.serves;
        let desired = if serves { start::running(&before)? } else { Desired::Stopped };
        match container::place(&before, self.name(), desired).await {
            Err(StepError::Runtime(RuntimeError::NotFound { .. })) => {
                Image.act(&before).await?;
                container::place(&before, self.name(), desired).await
            }
            done => done,
        }
    }

    /// An image that was removed by hand is built on the way, forward and back.
    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.build_limit + settings.pull_limit + work.step_limit * 2
    }
}
