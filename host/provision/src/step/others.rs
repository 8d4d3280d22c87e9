//! Removes what carries the tenant's labels under another name than its own: a container that was renamed by hand, copied
//! with its labels, or made by a reply that came too late. It may hold the tenant's port, network or volumes.

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_runtime::OwnedItem;

use super::{Step, StepError, candidate};
use crate::deploy;
use crate::work::Work;

/// Removes containers and networks that only carry the tenant's labels.
pub(crate) struct Others;

/// The same, and volumes as well: nothing of the tenant is to be left.
pub(crate) struct Everything;

#[async_trait]
impl Step for Others {
    fn name(&self) -> &'static str {
        "others"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove(work, false).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

#[async_trait]
impl Step for Everything {
    fn name(&self) -> &'static str {
        "others"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove(work, true).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

async fn remove(work: &Work<'_>, volumes: bool) -> Result<(), StepError> {
    let owned = work.runtime()?.owned(work.owner().instance).await?;
    let (own, tenant) = (work.name(), work.env_id());
    let theirs = |item: &OwnedItem| item.owner().is_some_and(|owner| owner.tenant == tenant);
    // A deployment that is continued finds the candidate it started.
    let candidate = (work.operation.kind == deploy::KIND.name).then(|| candidate::name(work));
    let spared = |item: &OwnedItem| item.name == own || candidate.as_ref() == Some(&item.name);
    let others = |items: Vec<OwnedItem>| items.into_iter().filter(|item| theirs(item) && !spared(item));
    let grace = Duration::from_secs(u64::from(work.revision()?.plan.service.stop_grace_seconds));
    // Containers first: they hold what the others are.
    for item in others(owned.workloads) {
        // By id: somebody may rename it meanwhile.
        work.runtime()?.stop(&item.id, work.owner(), grace).await?;
        let _ = work.runtime()?.remove(&item.id, work.owner()).await?;
        told(work, "container", &item.name).await?;
    }
    for item in others(owned.boundaries) {
        let _ = work.runtime()?.remove_boundary(&item.name, work.owner()).await?;
        told(work, "network", &item.name).await?;
    }
    if volumes {
        let named: Vec<String> =
            work.revision()?.plan.service.volumes.iter().map(|volume| work.volume_name(&volume.name)).collect();
        for item in owned.volumes.into_iter().filter(|item| theirs(item) && !named.contains(&item.name)) {
            let _ = work.runtime()?.remove_volume(&item.name, work.owner()).await?;
            told(work, "volume", &item.name).await?;
        }
    }
    Ok(())
}

async fn told(work: &Work<'_>, kind: &str, name: &str) -> Result<(), StepError> {
    let detail = format!("removed the {kind} {name}: it carries this tenant's labels and is not its own");
    work.record("others", EventKind::Line, &detail).await
}
