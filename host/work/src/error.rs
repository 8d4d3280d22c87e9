//! Why a step failed, what that says about the next attempt, and what it means to the caller.

use std::time::Duration;

use convergence_model::{Code, Failure};
use convergence_store::StoreError;

/// What an error says about the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Another worker has the operation now: stop, and change nothing more.
    Lost,
    /// Something that everything needs is away: the engine, the database. It is waited for.
    Away,
    /// There was no answer, which says nothing about what was asked. Tried again a few times, and for as long as it takes
    /// where giving up means that somebody has to look.
    Silent,
    /// It may pass, or not: an error of the other side's own. Tried again a few times.
    Doubtful,
    /// The same will happen again.
    Final,
}

/// An error of a room's own steps.
pub trait StepFailure: std::error::Error + Send + Sync + 'static {
    /// What it says about the next attempt.
    fn class(&self) -> Class;

    /// What it means to the caller: the step that failed, likely cause, next thing to try.
    fn explain(&self, step: &str) -> Failure;
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// What the step itself ran into.
    #[error("{0}")]
    Step(Box<dyn StepFailure>),
    /// The store refused or does not answer.
    #[error(transparent)]
    Store(StoreError),
    /// What the kind wrote cannot be read by this version of it.
    #[error("what this operation was asked, or its checkpoint, cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Nothing came back. Whether anything happened is not known.
    #[error("nothing came back for {} s", .after.as_secs_f32())]
    Hung {
        /// How long that was waited for.
        after: Duration,
    },
    /// The step panicked.
    #[error("the step panicked: {0}")]
    Panicked(String),
    /// It was begun again and again, and each time the server ended over it.
    #[error("{0} servers ended while they worked on it")]
    Crashed(u32),
    /// A loop gave up what it could not look up.
    #[error("{}", .0.message)]
    GivenUp(Box<Failure>),
    /// Somebody cancelled the operation.
    #[error("it was cancelled")]
    Cancelled,
    /// The server stops; the next one continues.
    #[error("the server stops")]
    HandedOver,
    /// Another worker has the operation now: stop, and change nothing more.
    #[error("another worker has this operation now")]
    LeaseLost,
}

impl<T: StepFailure> From<T> for StepError {
    fn from(failure: T) -> Self {
        if failure.class() == Class::Lost { Self::LeaseLost } else { Self::Step(Box::new(failure)) }
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost { .. } => Self::LeaseLost,
            other => Self::Store(other),
        }
    }
}

impl StepError {
    /// What it says about the next attempt.
    pub fn class(&self) -> Class {
        match self {
            Self::Step(failure) => failure.class(),
            Self::Store(StoreError::Busy(_) | StoreError::Unavailable(_)) => Class::Away,
            Self::Hung { .. } => Class::Silent,
            Self::LeaseLost => Class::Lost,
            _ => Class::Final,
        }
    }

    /// What it means to the caller.
    pub fn explain(&self, step: &str) -> Failure {
        let (code, cause, next) = match self {
            Self::Step(failure) => return failure.explain(step),
            Self::GivenUp(failure) => return Failure::clone(failure),
            Self::Hung { .. } => (
                Code::EngineTimeout,
                "the other side hangs, or the machine is overloaded",
                "look at the container engine's log and at the load of the machine, then send the request again",
            ),
            Self::Crashed(_) => (
                Code::GaveUp,
                "the server was ended from outside again and again, or it crashes over this operation",
                "look at the server's log for this operation, fix the cause it reports, then retry it or destroy the tenant",
            ),
            Self::Panicked(_) => (
                Code::StepPanicked,
                "a defect of this program",
                "report it with the server's log of this operation, then retry the operation",
            ),
            Self::Cancelled => {
                (Code::Cancelled, "somebody asked for it", "send the request again to have it after all")
            }
            Self::Unreadable(_) => (
                Code::StoreFailed,
                "another version of this program wrote it, or its row was changed by hand",
                "run the version that wrote it, or restore the row from a backup",
            ),
            Self::Store(_) | Self::LeaseLost | Self::HandedOver => (
                Code::StoreFailed,
                "the platform's own database did not answer or lost rows",
                "look at the server's log and at `convergence doctor`, then send the request again",
            ),
        };
        Failure {
            step: step.to_owned(),
            code: code.into(),
            message: self.to_string(),
            likely_cause: cause.to_owned(),
            next: next.to_owned(),
            log: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_a_step_has_its_code() {
        let unreadable = serde_json::from_str::<u8>("x").map_err(StepError::Unreadable);
        let given_up = StepError::Cancelled.explain("once");
        let errors = [
            (Code::StoreFailed, StepError::Store(StoreError::Refused("told to fail".into()))),
            (Code::EngineTimeout, StepError::Hung { after: Duration::from_secs(1) }),
            (Code::StepPanicked, StepError::Panicked("told to panic".to_owned())),
            (Code::GaveUp, StepError::Crashed(9)),
            (Code::Cancelled, StepError::GivenUp(Box::new(given_up))),
            (Code::Cancelled, StepError::Cancelled),
            (Code::StoreFailed, StepError::HandedOver),
            (Code::StoreFailed, StepError::LeaseLost),
        ];
        for (code, error) in errors.into_iter().chain(unreadable.err().map(|error| (Code::StoreFailed, error))) {
            let failure = error.explain("step");
            assert_eq!(failure.code, code, "{error}");
            assert!(!failure.message.is_empty() && !failure.next.is_empty(), "{failure:?}");
        }
    }
}
