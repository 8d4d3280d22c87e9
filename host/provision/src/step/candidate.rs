//! Proves that a revision comes up before anything is taken away from the one that serves: a second container, which no port
//! leads to, is started and waited for. The step that puts the revision in its place removes it.

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_model::workload::Workload;
use convergence_render::names;
use convergence_runtime::{Desired, Removal, RuntimeError};
use convergence_work::WorkSettings;

use super::removal::left_alone;
use super::{Step, StepError, container};
use crate::Settings;
use crate::deploy::DeployInput;
use crate::work::Work;

/// Starts the candidate.
pub(crate) struct Candidate;

/// Waits until the candidate is ready.
pub(crate) struct Trial;

#[async_trait]
impl Step for Candidate {
    fn name(&self) -> &'static str {
        "candidate"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        if let Some(workload) = candidate(work).await? {
            // No port leads to it, so none can be taken.
            let _ = container::ensure(work, &workload, Desired::ONE).await?;
        }
        Ok(())
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove(work).await
    }

    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.image_limit() + work.step_limit * 2
    }
}

#[async_trait]
impl Step for Trial {
    fn name(&self) -> &'static str {
        "trial"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        if let Some(workload) = candidate(work).await? {
            work.runtime()?.wait_ready(&workload, work.provisioner.settings.ready_patience).await?;
        } else if !work.revision()?.plan.service.volumes.is_empty() {
            let why = "the app keeps files, which two of them must not use at once: the one before is stopped first";
            work.record(self.name(), EventKind::Line, why).await?;
        }
        Ok(())
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }

    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.ready_patience + work.step_limit
    }

    /// It changes nothing.
    fn can_be_interrupted(&self) -> bool {
        true
    }
}

/// The candidate, where there is to be one: something serves that is to go on serving, the app can be there twice, and the
/// revision is not in its place yet. An operation that is continued does its steps again, and would prove it in vain.
async fn candidate(work: &Work<'_>) -> Result<Option<Workload>, StepError> {
    let serves = work.operation.asked::<DeployInput>()?.serves;
    if !serves || !work.revision()?.plan.service.volumes.is_empty() {
        return Ok(None);
    }
    let workload = work.workload().await?;
    match work.runtime()?.verify(&workload).await {
        Ok(deviations) if deviations.is_empty() => Ok(None),
        Ok(_) => Ok(Some(Workload { name: name(work), published: None, ..workload })),
        // Nothing serves: it was removed by hand, or by a server that ended before it had made the other.
        Err(RuntimeError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn name(work: &Work<'_>) -> String {
    names::candidate(&work.provisioner.settings.name_prefix, work.env_id())
}

/// Removes the candidate. It served nobody, so it is given no time.
pub(crate) async fn remove(work: &Work<'_>) -> Result<(), StepError> {
    let name = name(work);
    if work.runtime()?.remove(&name, work.owner()).await? == Removal::Foreign {
        left_alone("container", &name);
    }
    Ok(())
}
