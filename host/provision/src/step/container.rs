//! Creates the container and checks that it is what was asked for, before anything in it runs.

use async_trait::async_trait;
use convergence_model::workload::Workload;
use convergence_runtime::{RuntimeError, State};

use super::image::Image;
use super::{Step, StepError, removal};
use crate::work::Work;

pub(crate) struct Container;

#[async_trait]
impl Step for Container {
    fn name(&self) -> &'static str {
        "container"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let workload = work.workload().await?;
        match create(work, &workload).await {
            // The last other tenant of the image was destroyed between the step that found it and this one.
            Err(StepError::Runtime(RuntimeError::NotFound { .. })) => {
                Image.act(work).await?;
                create(work, &workload).await
            }
            done => done,
        }
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        removal::remove_container(work).await
    }
}

/// Creates a container of exactly this workload; one that the engine made otherwise is destroyed unstarted.
pub(crate) async fn create(work: &Work<'_>, workload: &Workload) -> Result<(), StepError> {
    // What is frozen or half removed cannot be started, however exactly it is what was asked for.
    if let Some(found) = work.runtime()?.inspect(&workload.name).await?
        && matches!(found.state, State::Paused | State::Dead)
    {
        removal::remove_container(work).await?;
    }
    work.runtime()?.ensure_container(workload).await?;
    let deviations = work.runtime()?.verify(workload).await?;
    if deviations.is_empty() {
        return Ok(());
    }
    removal::remove_container(work).await?;
    Err(StepError::Deviates(deviations))
}
