//! The registry: what each kind of operation consists of.

use convergence_model::operation::{Direction, OperationKind, OperationState};
use convergence_store::Fate;

use crate::step::Step;
use crate::{destroy, halt, repair, spawn, sweep};

/// What an operation consists of.
pub(crate) struct Recipe {
    /// Done in order; undone in reverse, where it can be undone.
    pub(crate) steps: &'static [&'static dyn Step],
    /// What becomes of the tenant when all steps are done, and the audit's word for it.
    pub(crate) done: (Fate, &'static str),
    /// What a step that fails for good leads to.
    pub(crate) failing: Failing,
    /// Whether somebody may take it back. What cannot be undone then stays as far as it got.
    pub(crate) cancellable: bool,
    /// The audit's word for an operation that did not succeed.
    pub(crate) failed: &'static str,
}

/// What a step that fails for good leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failing {
    /// What was done is undone, and the tenant was never there. Somebody may ask for the same at any time.
    Undo,
    /// It stays as far as it got, in this state, for an operator to look at; the tenant meets this fate.
    Stay(OperationState, Fate),
}

/// The recipe of a kind.
pub(crate) fn recipe(kind: OperationKind) -> &'static Recipe {
    match kind {
        OperationKind::Spawn => &spawn::RECIPE,
        OperationKind::Destroy => &destroy::RECIPE,
        OperationKind::Repair => &repair::RECIPE,
        OperationKind::Halt => &halt::RECIPE,
        OperationKind::Sweep => &sweep::RECIPE,
    }
}

/// The names of the steps of an operation, in order: what the suite makes its table of faults from.
pub fn steps(kind: OperationKind) -> Vec<&'static str> {
    recipe(kind).steps.iter().map(|step| step.name()).collect()
}

impl Recipe {
    /// Whether what fails on this way for good has nothing left that could be done instead.
    pub(crate) fn is_last_resort(&self, direction: Direction) -> bool {
        direction == Direction::Back || matches!(self.failing, Failing::Stay(OperationState::Stuck, _))
    }
}
