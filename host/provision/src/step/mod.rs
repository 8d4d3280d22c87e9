//! What operations are made of.

pub(crate) mod candidate;
pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod leftovers;
pub(crate) mod network;
pub(crate) mod others;
pub(crate) mod probe;
pub(crate) mod removal;
pub(crate) mod replace;
pub(crate) mod retire;
pub(crate) mod start;
pub(crate) mod volumes;

use std::time::Duration;

use async_trait::async_trait;
use convergence_model::operation::Failure;
use convergence_model::{SourceDigest, Violation};
use convergence_runtime::RuntimeError;
use convergence_store::StoreError;

use convergence_work::{Class, StepFailure, WorkSettings};

use crate::Settings;
use crate::failure;
use crate::secrets::SecretError;
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

    /// How long either half may take before it is taken for hanging. Every call of the runtime has a limit of its own;
    /// this is the one behind them.
    fn limit(&self, _settings: &Settings, work: &WorkSettings) -> Duration {
        work.step_limit
    }

    /// Whether `act` may be dropped in the middle when somebody cancels the operation or the server stops. What is asked of
    /// the engine may still happen after that, so a step that makes something is let finish.
    fn can_be_interrupted(&self) -> bool {
        false
    }
}

/// A step whose effect is kept when the operation is undone: the tenant had it before, or has a use for it.
pub(crate) struct Kept(pub(crate) &'static dyn Step);

#[async_trait]
impl Step for Kept {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        self.0.act(work).await
    }

    async fn undo(&self, _work: &Work<'_>) -> Result<(), StepError> {
        Ok(())
    }

    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        self.0.limit(settings, work)
    }

    fn can_be_interrupted(&self) -> bool {
        self.0.can_be_interrupted()
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The engine refused or does not answer.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The plan was accepted once and is not allowed any more.
    #[error("the plan is not allowed any more: {}", .0.iter().map(|v| v.message.as_str()).collect::<Vec<_>>().join("; "))]
    PlanRefused(Vec<Violation>),
    /// A base image does things behind the plan's back.
    #[error("the base image {reference} is refused")]
    BaseRefused { reference: String, violations: Vec<Violation> },
    /// Every port that was tried is somebody else's.
    #[error("the ports {0:?} are all in use by other programs")]
    PortsTaken(Vec<u16>),
    /// A build took all the time it may have.
    #[error("the build did not finish in {} s", .limit.as_secs())]
    BuildTooLong { limit: Duration },
    /// An image that was to say what is run does not.
    #[error("the image has neither ENTRYPOINT nor CMD, so there is nothing to run")]
    NothingToRun,
    /// An image says more than anybody would.
    #[error("the image is run with {args} arguments of {bytes} bytes, which is too many")]
    CommandTooLong { args: usize, bytes: usize },
    /// The source that an image is to be built from is not kept any more.
    #[error("the source {digest} is not kept any more")]
    SourceGone { digest: SourceDigest },
    /// The source that an image is to be built from cannot be read.
    #[error("the source cannot be read: {0}")]
    Source(std::io::Error),
    /// A secret of the tenant cannot be opened.
    #[error(transparent)]
    Secret(SecretError),
    /// A volume that is to be removed is mounted.
    #[error("volume {volume} is in use: {why}")]
    VolumeInUse { volume: String, why: String },
    /// The key ring cannot be used.
    #[error("{0}")]
    Ring(String),
    /// What the operation works on is not in the store any more.
    #[error("what this operation works on is gone from the store")]
    Gone,
    /// The room of durable work says so: the lease is lost, what was asked cannot be read, …
    #[error(transparent)]
    Work(#[from] convergence_work::StepError),
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Work(error.into())
    }
}

impl From<SecretError> for StepError {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Store(error) => error.into(),
            error => Self::Secret(error),
        }
    }
}

impl From<serde_json::Error> for StepError {
    fn from(error: serde_json::Error) -> Self {
        Self::Work(error.into())
    }
}

impl StepFailure for StepError {
    fn class(&self) -> Class {
        match self {
            Self::Work(error) => error.class(),
            Self::Runtime(RuntimeError::Unreachable { .. }) => Class::Away,
            Self::Runtime(RuntimeError::Timeout { .. }) => Class::Silent,
            Self::Runtime(RuntimeError::Engine { status: 0 | 500.., .. }) => Class::Doubtful,
            _ => Class::Final,
        }
    }

    fn explain(&self, step: &str) -> Failure {
        failure::explain(step, self)
    }
}
