//! Why a deployment is refused, for clients.

use std::collections::BTreeSet;

use convergence_model::Code;
use convergence_provision::{DeployError, PlanError};
use convergence_runtime::RuntimeError;

use crate::document::Fails;
use crate::problem::Problem;

impl From<DeployError> for Problem {
    fn from(error: DeployError) -> Self {
        match error {
            DeployError::NoTenant(_) => Self::no_such("tenant"),
            DeployError::NoRevision(_) => Self::no_such("revision"),
            DeployError::Unusable { .. } => Self::new(Code::RevisionUnusable, error.to_string()),
            DeployError::Ring(error) => error.into(),
            DeployError::Accept(error) => error.into(),
        }
    }
}

impl Fails for DeployError {
    fn codes() -> BTreeSet<Code> {
        let mut codes = &PlanError::codes() | &RuntimeError::codes();
        codes.extend([
            Code::NotFound,
            Code::NewerRevision,
            Code::ChangedMeanwhile,
            Code::Deploying,
            Code::RingUnusable,
            Code::RevisionUnusable,
            Code::NotInThisState,
            Code::TenantBusy,
            Code::IdempotencyKeyReused,
            Code::QueueFull,
            Code::Stopping,
        ]);
        codes
    }
}
