//! Makes the workload, stopped, unless exactly this one is there already.

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::{EventKind, UpkeepInput};
use convergence_model::workload::Workload;
use convergence_runtime::{Desired, Placement, RuntimeError};
use convergence_work::WorkSettings;

use super::image::Image;
use super::network::Network;
use super::{Step, StepError, removal};
use crate::Settings;
use crate::work::Work;

/// Ports tried before giving up: the first and two others.
const TRIES: usize = 3;

pub(crate) struct Container;

#[async_trait]
impl Step for Container {
    fn name(&self) -> &'static str {
        "container"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        make(work, self.name()).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        removal::remove_workload(work).await
    }

    /// An image that was removed by hand is built on the way.
    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.image_limit() + work.step_limit
    }
}

/// Makes the workload of an operation, stopped, and leaves one that is exactly this as it is: it may run, and is stopped for a
/// repair only where it hangs.
pub(crate) async fn make(work: &Work<'_>, step: &'static str) -> Result<(), StepError> {
    if work.operation.asked::<UpkeepInput>().is_ok_and(|asked| asked.restart) {
        return place(work, step, Desired::Stopped).await;
    }
    let workload = work.workload().await?;
    match work.runtime()?.verify(&workload).await {
        Ok(deviations) if deviations.is_empty() => Ok(()),
        Ok(_) | Err(RuntimeError::NotFound { .. }) => place(work, step, Desired::Stopped).await,
        Err(error) => Err(error.into()),
    }
}

/// Makes sure of the workload; moves it to another port where another program has its own.
pub(crate) async fn place(work: &Work<'_>, step: &'static str, desired: Desired) -> Result<(), StepError> {
    let mut taken = Vec::new();
    loop {
        let workload = work.workload().await?;
        let Placement::PortTaken { port } = ensure(work, &workload, desired).await? else { return Ok(()) };
        taken.push(port);
        // What was made has the wrong port in it.
        removal::remove_workload(work).await?;
        if taken.len() == TRIES {
            return Err(StepError::PortsTaken(taken));
        }
        let other = work.move_port().await?;
        work.record(step, EventKind::Line, &format!("another program listens on port {port}; trying {other}")).await?;
    }
}

/// Makes sure of a container, and of what it stands on, once more, where that turns out to be missing or doubled.
pub(crate) async fn ensure(work: &Work<'_>, workload: &Workload, desired: Desired) -> Result<Placement, StepError> {
    match work.runtime()?.ensure(workload, desired).await {
        // The last other tenant of the image was destroyed since it was found, or somebody removed it.
        Err(RuntimeError::NotFound { .. }) => Image.act(work).await?,
        // What a server that ended had asked for happened after all, so the network is there twice.
        Err(RuntimeError::Ambiguous { .. }) => Network.act(work).await?,
        placed => return Ok(placed?),
    }
    Ok(work.runtime()?.ensure(workload, desired).await?)
}
