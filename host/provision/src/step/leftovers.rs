//! Removes from the engine what carries our label and belongs to nothing we know.

use async_trait::async_trait;
use convergence_model::TenantId;
use convergence_model::operation::{EventKind, Leftover, LeftoverKind, SweepInput};
use convergence_runtime::{ImageRemoval, Removal};

use super::{Step, StepError};
use crate::LookError;
use crate::reconcile::proof::{self, Held};
use crate::work::Work;

/// The id of no tenant: theirs carry the time in their first half.
const NO_TENANT: TenantId = TenantId(uuid::Uuid::nil());

pub(crate) struct Leftovers;

/// Why something that has the name stays.
const NOT_OURS: &str = "it does not carry the labels of this installation and tenant";

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
        let SweepInput { mut leftovers, ordered } = work.operation.asked()?;
        leftovers.sort();
        for leftover in &leftovers {
            if !ordered && let Some(held) = held(work, leftover).await? {
                stays(work, leftover, &held.explain(leftover.kind)).await?;
                continue;
            }
            if remove(work, leftover).await? {
                work.provisioner.strays.forget(leftover);
            }
        }
        Ok(())
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

/// Looks once more whether it may go: nobody ordered it.
async fn held(work: &Work<'_>, leftover: &Leftover) -> Result<Option<Held>, StepError> {
    let settings = &work.provisioner.settings.reconcile;
    match proof::may_be_swept(work.runtime()?, work.store(), settings, work.env_id(), leftover).await {
        Ok(held) => Ok(held),
        Err(LookError::Engine(error)) => Err(error.into()),
        Err(LookError::Store(error)) => Err(error.into()),
    }
}

/// Says in the operation's history why something was not removed.
async fn stays(work: &Work<'_>, leftover: &Leftover, reason: &str) -> Result<(), StepError> {
    tracing::warn!(kind = ?leftover.kind, name = leftover.name, reason, "not removed");
    let told = format!("{:?} {} stays: {reason}", leftover.kind, leftover.name);
    work.record(Leftovers.name(), EventKind::Line, &told).await
}

/// Removes it; false where it stays, which the operation's history then says.
async fn remove(work: &Work<'_>, leftover: &Leftover) -> Result<bool, StepError> {
    let (runtime, name, owner) = (work.runtime()?, leftover.name.as_str(), work.owner());
    let removal = match leftover.kind {
        LeftoverKind::Container => runtime.remove(name, owner).await?,
        LeftoverKind::Network => runtime.remove_boundary(name, owner).await?,
        LeftoverKind::Volume => runtime.remove_volume(name, owner).await?,
        LeftoverKind::Image => return remove_image(work, leftover).await,
    };
    if removal == Removal::Foreign {
        stays(work, leftover, NOT_OURS).await?;
    }
    Ok(removal != Removal::Foreign)
}

async fn remove_image(work: &Work<'_>, image: &Leftover) -> Result<bool, StepError> {
    let reason = if work.store().image_in_use(&image.name, NO_TENANT).await? {
        "a tenant runs it"
    } else {
        match work.builder()?.remove_image(&image.name, work.owner().instance).await? {
            ImageRemoval::Removed | ImageRemoval::Absent => return Ok(true),
            ImageRemoval::InUse => "a container or another image needs it",
            ImageRemoval::Foreign => NOT_OURS,
        }
    };
    stays(work, image, reason).await?;
    Ok(false)
}
