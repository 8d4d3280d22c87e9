//! Starts the workload.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use convergence_runtime::Desired;
use convergence_work::WorkSettings;

use super::{Step, StepError, container};
use crate::Settings;
use crate::work::Work;

pub(crate) struct Start;

#[async_trait]
impl Step for Start {
    fn name(&self) -> &'static str {
        "start"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        container::place(work, self.name(), running(work)?).await
    }

    /// The step before removes the workload, running or not.
    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }

    /// An image that was removed by hand is built on the way.
    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.image_limit() + work.step_limit
    }
}

/// Running, as often as the revision says.
pub(crate) fn running(work: &Work<'_>) -> Result<Desired, StepError> {
    let replicas = NonZeroU32::new(work.revision()?.limits.replicas).unwrap_or(NonZeroU32::MIN);
    Ok(Desired::Running { replicas })
}
