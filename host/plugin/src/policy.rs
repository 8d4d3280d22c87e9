//! Policies in use.

use std::collections::BTreeMap;

use convergence_model::Limits;
use convergence_model::field::{Severity, Violation};
use convergence_model::policy::{Review, Verdict};
use convergence_model::tenant::PluginPin;
use convergence_sandbox::Policy;

use crate::active::Active;
use crate::failure::PluginFailure;

/// A policy in use.
#[derive(Debug)]
pub(crate) struct ActivePolicy {
    active: Active,
    policy: Policy,
}

impl ActivePolicy {
    pub(crate) fn new(active: Active, policy: Policy) -> Self {
        Self { active, policy }
    }

    pub(crate) fn info(&self) -> PolicyInfo {
        let description = self.active.description();
        PolicyInfo {
            id: description.id.clone(),
            name: description.name.clone(),
            version: description.version.to_string(),
            digest: self.active.digest().to_owned(),
            summary: description.summary.clone(),
        }
    }

    async fn evaluate(&self, review: &mut Review) -> Result<Verdict, PluginFailure> {
        self.active.config().clone_into(&mut review.config);
        self.active.call(self.policy.evaluate_reported(review)).await
    }
}

/// What is shown about a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyInfo {
    /// Its id.
    pub id: String,
    /// Human-readable.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// One sentence.
    pub summary: String,
}

/// What all policies together say to a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviewed {
    /// What they object to, policy by policy; warnings included.
    pub violations: Vec<Violation>,
    /// What was asked for, tightened by each.
    pub limits: Limits,
    /// Who was asked: plugin id → version and digest.
    pub pins: BTreeMap<String, PluginPin>,
}

impl Reviewed {
    /// Whether any violation refuses the change.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.violations.iter().any(|violation| violation.severity == Severity::Deny)
    }
}

/// Asks every policy that applies to the organization. Each sees the limits that were asked for, so the order does not
/// matter. The first that does not answer refuses the change: a check that cannot be made has not been passed.
pub(crate) async fn review(policies: &[ActivePolicy], mut review: Review) -> Result<Reviewed, PluginFailure> {
    let mut reviewed = Reviewed { violations: Vec::new(), limits: review.limits, pins: BTreeMap::new() };
    for policy in policies {
        if !policy.active.serves(&review.organization.id) {
            continue;
        }
        let verdict = policy.evaluate(&mut review).await?;
        let id = &policy.active.description().id;
        reviewed.violations.extend(verdict.violations.into_iter().map(|violation| violation.by(id)));
        if let Some(tightened) = verdict.tightened {
            reviewed.limits = reviewed.limits.tightened_by(tightened);
        }
        reviewed.pins.insert(id.clone(), policy.active.pin());
    }
    Ok(reviewed)
}
