//! Stopping a tenant whose app ends again and again, so that it wears nobody out.

use convergence_model::operation::OperationState;
use convergence_model::tenant::TenantStatus;
use convergence_store::{Entry, Fate};

use crate::operations::{Failing, Recipe};
use crate::step::removal;

/// The container stays, stopped, with what it printed; the tenant has failed until somebody repairs or destroys it.
pub(crate) const RECIPE: Recipe = Recipe {
    steps: &[&removal::Stop],
    done: (Fate::Failed, "tenant.halted"),
    failing: Failing::Stay(OperationState::Stuck, Fate::Failed),
    cancellable: true,
    failed: "tenant.halt-failed",
};

/// Only what runs, or tries to, is stopped.
pub(crate) const FOUND: Entry = Entry { from: &[TenantStatus::Running], to: None, action: "tenant.halt" };
