//! Makes the tenant's own network.

use async_trait::async_trait;

use super::{Step, StepError};
use crate::work::Work;

pub(crate) struct Network;

#[async_trait]
impl Step for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let workload = work.workload().await?;
        work.runtime().ensure_network(&workload.network, &workload.labels).await?;
        Ok(())
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        Ok(work.runtime().remove_network(&work.name()).await?)
    }
}
