//! Puts a revision's container where the one of the revision before is, stopped; and puts that back where it does not come up.

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_runtime::Desired;
use convergence_work::WorkSettings;

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
            match before.workload().await {
                // Rules became stricter since it was made, or a secret of it cannot be opened any more, and this deployment may be the way
                // out of it.
                Err(error @ (StepError::PlanRefused(_) | StepError::Secret(_))) => {
                    let line = format!("the revision before cannot be put back if this one does not start: {error}");
                    work.record(self.name(), EventKind::Line, &line).await?;
                }
                workload => drop(workload?),
            }
        }
        // The candidate last: a server that ends in between need not prove it again.
        container::make(work, self.name()).await?;
        candidate::remove(work).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        let Some(before) = work.before().await? else { return removal::remove_workload(work).await };
        // A tenant that had failed was stopped, with what it printed.
        let serves = work.operation.asked::<DeployInput>()?.serves;
        let desired = if serves { start::running(&before)? } else { Desired::Stopped };
        container::place(&before, self.name(), desired).await
    }

    /// An image that was removed by hand is built on the way, forward and back.
    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.image_limit() + work.step_limit * 2
    }
}
