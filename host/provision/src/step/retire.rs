//! Makes room: images of revisions that ran long ago go, and the revisions can be restored no longer.

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_runtime::ImageRemoval;

use super::{Step, StepError};
use crate::work::Work;

pub(crate) struct Retire;

#[async_trait]
impl Step for Retire {
    fn name(&self) -> &'static str {
        "retire"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let keep = work.provisioner.settings.images_keep;
        let now = work.provisioner.clock.now();
        let tenant = work.tenant()?.id;
        for retired in work.store().retire_revisions(work.hold.lease(), keep, now).await? {
            let (tag, number) = (retired.image_tag, retired.number);
            if work.store().image_needed(&tag, tenant, number).await? {
                continue;
            }
            // What is left here is let go in the store, and swept.
            match work.builder()?.remove_image(&tag, work.owner().instance).await? {
                ImageRemoval::Removed | ImageRemoval::Absent => {
                    let told = format!("removed the image of revision {number}, of which there are newer ones");
                    work.record(self.name(), EventKind::Line, &told).await?;
                }
                ImageRemoval::InUse | ImageRemoval::Foreign => {}
            }
        }
        Ok(())
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}
