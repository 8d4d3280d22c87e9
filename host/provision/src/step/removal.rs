//! Removes what a tenant has in the engine. What is absent already is removed, and what only has the name of
//! something of the tenant's is not touched.

use std::time::Duration;

use async_trait::async_trait;
use convergence_runtime::{ImageRemoval, Removal};

use super::{Step, StepError};
use crate::work::Work;

/// Stops the container, giving the app its time, and removes it.
pub(crate) struct Container;

/// Stops the container and leaves it, with what it printed.
pub(crate) struct Stop;

/// Removes the tenant's network.
pub(crate) struct Network;

/// Removes the tenant's volumes and what is in them.
pub(crate) struct Volumes;

/// Removes the images of all revisions that no other tenant runs.
pub(crate) struct Images;

#[async_trait]
impl Step for Container {
    fn name(&self) -> &'static str {
        "container"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        stop(work).await?;
        remove_workload(work).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Step for Stop {
    fn name(&self) -> &'static str {
        "stop"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        stop(work).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Step for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove_boundary(work).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Step for Volumes {
    fn name(&self) -> &'static str {
        "volumes"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove_volumes(work).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Step for Images {
    fn name(&self) -> &'static str {
        "image"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove_images(work).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Stops the tenant's container, giving the app its time.
async fn stop(work: &Work<'_>) -> Result<(), StepError> {
    let grace = Duration::from_secs(u64::from(work.revision()?.plan.service.stop_grace_seconds));
    Ok(work.runtime()?.stop(&work.name(), work.owner(), grace).await?)
}

/// Removes the tenant's workload, running or not.
pub(crate) async fn remove_workload(work: &Work<'_>) -> Result<(), StepError> {
    let name = work.name();
    let removal = work.runtime()?.remove(&name, work.owner()).await?;
    if removal == Removal::Foreign {
        left_alone("container", &name);
    }
    Ok(())
}

/// Removes the tenant's boundary.
pub(crate) async fn remove_boundary(work: &Work<'_>) -> Result<(), StepError> {
    let name = work.name();
    let removal = work.runtime()?.remove_boundary(&name, work.owner()).await?;
    if removal == Removal::Foreign {
        left_alone("network", &name);
    }
    Ok(())
}

/// Removes every volume the plan names.
pub(crate) async fn remove_volumes(work: &Work<'_>) -> Result<(), StepError> {
    for volume in &work.revision()?.plan.service.volumes {
        let name = work.volume_name(&volume.name);
        if work.runtime()?.remove_volume(&name, work.owner()).await? == Removal::Foreign {
            left_alone("volume", &name);
        }
    }
    Ok(())
}

/// Removes the images of all revisions of the tenant that no other tenant runs.
pub(crate) async fn remove_images(work: &Work<'_>) -> Result<(), StepError> {
    let tenant = work.tenant()?.id;
    for tag in work.store().image_tags_of(tenant).await? {
        if !work.store().image_in_use(&tag, tenant).await? {
            remove_tag(work, &tag).await?;
        }
    }
    Ok(())
}

/// Removes the image of the operation's revision, unless another revision or another tenant has the same.
pub(crate) async fn remove_image(work: &Work<'_>) -> Result<(), StepError> {
    // Read again: the step that builds may have set it since the operation began.
    let (tenant, number) = (work.tenant()?.id, work.revision()?.number);
    let revision = work.store().revision(&Work::scope(), tenant, number).await?;
    if let Some(tag) = revision.and_then(|revision| revision.image_tag)
        && !work.store().image_needed(&tag, tenant, number).await?
    {
        remove_tag(work, &tag).await?;
    }
    Ok(())
}

async fn remove_tag(work: &Work<'_>, tag: &str) -> Result<(), StepError> {
    if work.builder()?.remove_image(tag, work.owner().instance).await? == ImageRemoval::Foreign {
        left_alone("image", tag);
    }
    Ok(())
}

/// Says what was found under a name of the tenant's and is somebody else's. For the tenant it is as good as absent:
/// an undo never made it, and a destroy has nothing of the tenant's to remove there.
pub(crate) fn left_alone(kind: &str, name: &str) {
    tracing::warn!(kind, name, "not removed: the engine has one of that name that is not this tenant's");
}
