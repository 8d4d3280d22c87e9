//! Proves that a revision comes up before anything is taken away from the one that serves: a second container, which no port
//! leads to, is started, waited for and removed.

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::EventKind;
use convergence_model::workload::Workload;
use convergence_render::names;
use convergence_runtime::{Desired, Removal, RuntimeError};
use convergence_work::WorkSettings;

use super::image::Image;
use super::network::Network;
use super::removal::left_alone;
use super::{Step, StepError};
use crate::Settings;
use crate::deploy::DeployInput;
use crate::work::Work;

pub(crate) struct Candidate;

#[async_trait]
impl Step for Candidate {
    fn name(&self) -> &'static str {
        "candidate"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        if !work.operation.asked::<DeployInput>()?.serves {
            // Nothing serves that could be kept serving.
            return Ok(());
        }
        if !work.revision()?.plan.service.volumes.is_empty() {
            let why = "the app keeps files, which two of them must not use at once: the one before is stopped first";
            return work.record(self.name(), EventKind::Line, why).await;
        }
        let workload = Workload { name: name(work), published: None, ..work.workload().await? };
        match work.runtime()?.ensure(&workload, Desired::ONE).await {
            // As when the tenant itself is started: what is missing or doubled is made sure of once more.
            Err(error @ (RuntimeError::Ambiguous { .. } | RuntimeError::NotFound { .. })) => {
                match error {
                    RuntimeError::NotFound { .. } => Image.act(work).await?,
                    _ => Network.act(work).await?,
                }
                let _ = work.runtime()?.ensure(&workload, Desired::ONE).await?;
            }
            placed => drop(placed?),
        }
        work.runtime()?.wait_ready(&workload, work.provisioner.settings.ready_patience).await?;
        let grace = Duration::from_secs(u64::from(workload.stop_grace_seconds));
        work.runtime()?.stop(&workload.name, work.owner(), grace).await?;
        remove(work).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        remove(work).await
    }

    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.build_limit + settings.pull_limit + settings.ready_patience + work.step_limit * 2
    }
}

fn name(work: &Work<'_>) -> String {
    names::candidate(&work.provisioner.settings.name_prefix, work.env_id())
}

async fn remove(work: &Work<'_>) -> Result<(), StepError> {
    let name = name(work);
    if work.runtime()?.remove(&name, work.owner()).await? == Removal::Foreign {
        left_alone("container", &name);
    }
    Ok(())
}
