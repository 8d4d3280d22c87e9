//! Removing what was left in the engine: by a reply that came too late, or by a server that was restored from a backup.

use convergence_model::operation::OperationState;
use convergence_store::Fate;

use crate::operations::{Failing, Recipe};
use crate::step::leftovers::Leftovers;

/// One step; what it could not remove is found again by the next scan.
pub(crate) const RECIPE: Recipe = Recipe {
    steps: &[&Leftovers],
    done: (Fate::Untouched, "engine.swept"),
    failing: Failing::Stay(OperationState::Failed, Fate::Untouched),
    cancellable: false,
    failed: "engine.sweep-failed",
};
