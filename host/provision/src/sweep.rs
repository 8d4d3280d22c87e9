//! Removing what was left in the engine: by a reply that came too late, or by a server that was restored from a backup.

use convergence_model::operation::{Lane, OperationState};
use convergence_work::{Effect, Failing, Kind};

use crate::recipe::{Leaves, Recipe};
use crate::step::leftovers::Leftovers;

/// One step; what it could not remove is found again by the next scan.
pub static KIND: Kind = Kind {
    name: "sweep",
    lane: Lane::Engine,
    // The next tenant may get the number it is about. Its step looks whether one has, so a spawn need not wait for it.
    exclusive: false,
    yields: false,
    cancellable: false,
    checkpoint: 0,
    failing: Failing::Stay { state: OperationState::Failed, effect: Effect::None },
    stuck: Effect::None,
    asked_action: "engine.sweep",
    done_action: "engine.swept",
    failed_action: "engine.sweep-failed",
};

pub(crate) static RECIPE: Recipe = Recipe { kind: &KIND, steps: &[&Leftovers], leaves: Leaves::Nothing };
