//! [`Runtime::ensure`](crate::Runtime::ensure) for engines that make containers one at a time and start them afterwards.

use std::time::Duration;

use convergence_model::workload::Workload;

use crate::error::RuntimeError;
use crate::observed::{Deviation, State};
use crate::runtime::{Desired, Placement};

/// How often a name may be taken between looking and making before somebody else is taken to be at it.
const TRIES: usize = 2;

/// The effects that such an engine has. Each may be repeated after any error.
pub(crate) trait Containers: Sync {
    /// What has the workload's name, compared with the workload.
    fn find(&self, workload: &Workload) -> impl Future<Output = Result<Option<Found>, RuntimeError>> + Send;

    /// Makes it and does not start it. False where the name is taken.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] where the image is missing.
    fn create(&self, workload: &Workload) -> impl Future<Output = Result<bool, RuntimeError>> + Send;

    /// As [`Containers::find`], asked of what was made just now.
    fn check(&self, workload: &Workload) -> impl Future<Output = Result<Option<Found>, RuntimeError>> + Send;

    /// Starts exactly this container. False where another program has the port.
    fn start(&self, workload: &Workload, id: &str) -> impl Future<Output = Result<bool, RuntimeError>> + Send;

    /// Asks exactly this container to stop, and kills it after the grace.
    fn halt(
        &self,
        workload: &Workload,
        id: &str,
        grace: Duration,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes exactly this container, killing it where it runs.
    fn discard(&self, workload: &Workload, id: &str) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}

/// A container that has a workload's name.
#[derive(Debug)]
pub(crate) struct Found {
    /// The engine's id.
    pub(crate) id: String,
    /// Whether it is the same installation's and tenant's.
    pub(crate) ours: bool,
    /// What it is doing.
    pub(crate) state: State,
    /// In what it differs from the workload.
    pub(crate) deviations: Vec<Deviation>,
}

/// Makes sure that there is exactly this workload, and that it runs or not.
///
/// # Errors
/// As [`Runtime::ensure`](crate::Runtime::ensure).
pub(crate) async fn ensure(
    engine: &impl Containers,
    workload: &Workload,
    desired: Desired,
) -> Result<Placement, RuntimeError> {
    let (placement, found) = exactly(engine, workload).await?;
    match desired {
        Desired::Stopped if found.state.is_up() => engine.halt(workload, &found.id, grace(workload)).await?,
        Desired::Running { .. } if !found.state.is_up() && !engine.start(workload, &found.id).await? => {
            return Ok(Placement::PortTaken { port: workload.published.map_or(0, |published| published.port) });
        }
        Desired::Stopped | Desired::Running { .. } => {}
    }
    Ok(placement)
}

/// A container made from exactly this workload, in whatever state it is.
async fn exactly(engine: &impl Containers, workload: &Workload) -> Result<(Placement, Found), RuntimeError> {
    let mut placement = Placement::Created;
    for _ in 0..TRIES {
        if let Some(found) = engine.find(workload).await? {
            // What is frozen or half removed cannot be started, however exactly it is what was asked for.
            let usable = !matches!(found.state, State::Paused | State::Removing | State::Dead);
            if !found.ours {
                return Err(foreign(workload));
            }
            if usable && found.deviations.is_empty() {
                let kept = if placement == Placement::Created { Placement::Adopted } else { placement };
                return Ok((kept, found));
            }
            if found.state.is_up() {
                engine.halt(workload, &found.id, grace(workload)).await?;
            }
            engine.discard(workload, &found.id).await?;
            placement = Placement::Replaced;
        }
        if engine.create(workload).await? {
            return Ok((placement, compared(engine, workload).await?));
        }
        // The name was taken since: perhaps by this very call, when its first reply was lost. Look again.
    }
    Err(RuntimeError::Conflict {
        what: format!("container {}", workload.name),
        message: "another program keeps creating a container of that name".to_owned(),
    })
}

/// What was made just now, once it is known to be what was asked for.
async fn compared(engine: &impl Containers, workload: &Workload) -> Result<Found, RuntimeError> {
    let Some(made) = engine.check(workload).await? else {
        return Err(RuntimeError::NotFound { what: format!("container {} any more", workload.name) });
    };
    if !made.ours {
        return Err(foreign(workload));
    }
    if !made.deviations.is_empty() {
        engine.discard(workload, &made.id).await?;
        return Err(RuntimeError::Deviates { deviations: made.deviations });
    }
    Ok(made)
}

fn grace(workload: &Workload) -> Duration {
    Duration::from_secs(u64::from(workload.stop_grace_seconds))
}

fn foreign(workload: &Workload) -> RuntimeError {
    RuntimeError::Conflict {
        what: format!("container {}", workload.name),
        message: "a container of that name exists and is not this tenant's".to_owned(),
    }
}
