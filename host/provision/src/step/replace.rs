//! Puts a revision's container where the one of the revision before is, stopped; and puts that back where it does not come up.

use async_trait::async_trait;
use convergence_model::tenant::TenantStatus;
use convergence_runtime::{Desired, RuntimeError};

use super::image::Image;
use super::{Step, StepError, container, removal, start};
use crate::work::Work;

pub(crate) struct Replace;

#[async_trait]
impl Step for Replace {
    fn name(&self) -> &'static str {
        "container"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        container::make(work, self.name()).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        let Some(before) = work.before().await? else { return removal::remove_workload(work).await };
        // A tenant that had failed was stopped, with what it printed.
        let desired = match before.tenant()?.status {
            TenantStatus::Failed => Desired::Stopped,
            _ => start::running(&before)?,
        };
        match container::place(&before, self.name(), desired).await {
            Err(StepError::Runtime(RuntimeError::NotFound { .. })) => {
                Image.act(&before).await?;
                container::place(&before, self.name(), desired).await
            }
            done => done,
        }
    }
}
