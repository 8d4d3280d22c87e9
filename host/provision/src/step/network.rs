//! Makes the tenant's own boundary; leases other addresses where something else uses those that were leased for it.

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_runtime::RuntimeError;

use super::{Step, StepError, removal};
use crate::work::Work;

/// Networks tried before giving up. Somebody else's network is often larger than one of ours and covers many.
const TRIES: usize = 32;

pub(crate) struct Network;

#[async_trait]
impl Step for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        for _ in 1..TRIES {
            match ensure(work).await {
                Err(StepError::Runtime(RuntimeError::SubnetTaken { subnet })) => {
                    let other = work.move_subnet().await?;
                    let detail = format!("another network uses addresses of {subnet}; trying {other}");
                    work.record(self.name(), EventKind::Line, &detail).await?;
                }
                done => return done,
            }
        }
        ensure(work).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        removal::remove_boundary(work).await
    }
}

async fn ensure(work: &Work<'_>) -> Result<(), StepError> {
    let workload = work.workload().await?;
    work.runtime()?.ensure_boundary(&workload.boundary, &workload.labels).await?;
    Ok(())
}
