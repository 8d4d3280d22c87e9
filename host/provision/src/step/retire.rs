//! Makes room: images of revisions that ran long ago go, and the revisions can be restored no longer.

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_runtime::ImageRemoval;
use convergence_work::{Class, StepFailure};

use super::{Step, StepError};
use crate::work::Work;

pub(crate) struct Retire;

#[async_trait]
impl Step for Retire {
    fn name(&self) -> &'static str {
        "retire"
    }

    /// Never fails what is up and ready: what could not be removed is let go in the store, and swept.
    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        match retire(work).await {
            Err(error) if error.class() != Class::Lost => {
                tracing::warn!(%error, "images of old revisions could not be removed");
                Ok(())
            }
            done => done,
        }
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

async fn retire(work: &Work<'_>) -> Result<(), StepError> {
    let (tenant, settings) = (work.tenant()?.id, &work.provisioner.settings);
    let now = work.provisioner.clock.now();
    for retired in work.store().retire_revisions(work.hold.lease(), settings.images_keep, now).await? {
        let (tag, number) = (retired.image_tag, retired.number);
        if work.store().image_needed(&tag, tenant, number).await? {
            continue;
        }
        match work.builder()?.remove_image(&tag, work.owner().instance).await? {
            ImageRemoval::Removed | ImageRemoval::Absent => {
                let told = format!("removed the image of revision {number}, of which there are newer ones");
                work.record(Retire.name(), EventKind::Line, &told).await?;
            }
            ImageRemoval::InUse | ImageRemoval::Foreign => {}
        }
    }
    Ok(())
}
