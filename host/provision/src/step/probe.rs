//! Waits until the app answers.

use std::time::Duration;

use async_trait::async_trait;

use super::{Step, StepError};
use convergence_work::WorkSettings;

use crate::Settings;
use crate::work::Work;

pub(crate) struct Probe;

#[async_trait]
impl Step for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        let workload = work.workload().await?;
        work.runtime()?.wait_ready(&workload, work.provisioner.settings.ready_patience).await?;
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
