//! The registry: which steps carry out which operation.

use convergence_model::operation::OperationKind;

use crate::step::Step;
use crate::{destroy, spawn};

/// The steps of an operation, in order.
pub(crate) fn steps(kind: OperationKind) -> &'static [&'static dyn Step] {
    match kind {
        OperationKind::Spawn => spawn::STEPS,
        OperationKind::Destroy => destroy::STEPS,
    }
}
