//! What operations are made of.

pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod probe;
pub(crate) mod removal;
pub(crate) mod start;
pub(crate) mod volumes;

use async_trait::async_trait;
use convergence_model::Violation;
use convergence_runtime::{Deviation, RuntimeError};
use convergence_store::StoreError;

use crate::work::Work;

/// One step of an operation. Both halves are safe to run twice, and `undo` also after half an `act`.
#[async_trait]
pub(crate) trait Step: Send + Sync {
    /// As events and failures name it.
    fn name(&self) -> &'static str;

    /// Does it.
    async fn act(&self, work: &Work<'_>) -> Result<(), StepError>;

    /// Removes what `act` made, and nothing that was there before.
    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError>;
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The engine refused or does not answer.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The store refused or does not answer.
    #[error(transparent)]
    Store(StoreError),
    /// The plan was accepted once and is not allowed any more.
    #[error("the plan is not allowed any more: {}", .0.iter().map(|v| v.message.as_str()).collect::<Vec<_>>().join("; "))]
    PlanRefused(Vec<Violation>),
    /// A base image does things behind the plan's back.
    #[error("the base image {reference} is refused")]
    BaseRefused { reference: String, violations: Vec<Violation> },
    /// What the engine made is not what it was asked for.
    #[error("the container is not what was asked for: {}", .0.iter().map(|d| d.field.as_str()).collect::<Vec<_>>().join(", "))]
    Deviates(Vec<Deviation>),
    /// Every port that was tried is somebody else's.
    #[error("the ports {0:?} are all in use by other programs")]
    PortsTaken(Vec<u16>),
    /// What the operation works on is not in the store any more.
    #[error("what this operation works on is gone from the store")]
    Gone,
    /// Another worker has the operation now: stop, and change nothing more.
    #[error("another worker has this operation now")]
    LeaseLost,
}

impl StepError {
    /// Whether nobody knows if the effect happened, or nothing happened for a reason that passes.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Runtime(RuntimeError::Unreachable { .. } | RuntimeError::Timeout { .. })
                | Self::Store(StoreError::Busy(_) | StoreError::Unavailable(_))
        )
    }
}
