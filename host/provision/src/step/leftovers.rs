//! Removes from the engine what carries our label and belongs to nothing we know.

use async_trait::async_trait;
use convergence_model::TenantId;
use convergence_model::operation::{LeftoverKind, SweepInput};
use convergence_runtime::{ImageRemoval, Removal};

use super::{Step, StepError, removal};
use crate::work::Work;

/// The id of no tenant: theirs carry the time in their first half.
const NO_TENANT: TenantId = TenantId(uuid::Uuid::nil());

pub(crate) struct Leftovers;

#[async_trait]
impl Step for Leftovers {
    fn name(&self) -> &'static str {
        "leftovers"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        // Looked at again: between the scan and this, a tenant of that number may have come to be known.
        if work.store().tenant(&Work::scope(), work.env_id()).await?.is_some() {
            return Ok(());
        }
        // Containers sort before what they use.
        let SweepInput { mut leftovers } = work.operation.asked()?;
        leftovers.sort();
        for leftover in &leftovers {
            let (runtime, name, owner) = (work.runtime()?, leftover.name.as_str(), work.owner());
            let (removal, kind) = match leftover.kind {
                LeftoverKind::Container => (runtime.remove(name, owner).await?, "container"),
                LeftoverKind::Network => (runtime.remove_boundary(name, owner).await?, "network"),
                LeftoverKind::Volume => (runtime.remove_volume(name, owner).await?, "volume"),
                LeftoverKind::Image => (remove_image(work, name).await?, "image"),
            };
            if removal == Removal::Foreign {
                removal::left_alone(kind, name);
            }
        }
        Ok(())
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

async fn remove_image(work: &Work<'_>, tag: &str) -> Result<Removal, StepError> {
    if work.store().image_in_use(tag, NO_TENANT).await? {
        return Ok(Removal::Absent);
    }
    Ok(match work.builder()?.remove_image(tag, work.owner().instance).await? {
        ImageRemoval::Removed => Removal::Removed,
        ImageRemoval::Absent | ImageRemoval::InUse => Removal::Absent,
        ImageRemoval::Foreign => Removal::Foreign,
    })
}
