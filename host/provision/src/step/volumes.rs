//! Makes the folders that outlive the container.

use async_trait::async_trait;

use super::{Step, StepError, removal};
use crate::work::Work;

pub(crate) struct Volumes;

#[async_trait]
impl Step for Volumes {
    fn name(&self) -> &'static str {
        "volumes"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let workload = work.workload().await?;
        for mount in &workload.volumes {
            work.runtime()?.ensure_volume(&mount.volume, &workload.labels).await?;
        }
        Ok(())
    }

    /// A tenant whose spawn failed never ran, so its volumes hold nothing of anybody's.
    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        removal::remove_volumes(work).await
    }
}
