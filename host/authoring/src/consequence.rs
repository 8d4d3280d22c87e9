//! What a server makes of an answer before it acts on it: the checks that are the host's, not the plugin's.

use std::fmt::Write as _;

use convergence_billing::{Rated, RatingFailure, rate_json};
use convergence_model::Violation;
use convergence_model::plan::BuildPlan;
use convergence_plugin::Case;
use convergence_render::{Bases, DockerfileOptions, ImagePolicy, Rules, dockerfile, guard};
use convergence_sandbox::{Component, Kind};
use serde_json::Value;

/// What follows from an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// Why a server would not act on it.
    pub(crate) refusals: Vec<String>,
    /// What a template's plan is built with.
    pub(crate) dockerfile: Option<String>,
    /// What a billing policy's lines come to: each with its rounded amount, and the total.
    pub(crate) bill: Option<String>,
}

impl Consequence {
    fn refused(refusals: Vec<String>) -> Self {
        Self { refusals, ..Self::default() }
    }
}

/// Looks at the answer to a case as a server does whose operator has configured nothing. `answer` is
/// `CaseOutcome::answer`: a foreseen failure has no consequence.
pub(crate) async fn of(component: &Component, case: &Case, answer: &Value) -> Consequence {
    match component.kind() {
        _ if answer.get("error").is_some() => Consequence::default(),
        Kind::Template => of_plan(&case.input, answer),
        Kind::Billing => of_rating(component, case).await,
        // A verdict that breaks the contract is no answer at all: the sandbox sees to that.
        Kind::Policy => Consequence::default(),
    }
}

fn of_plan(request: &Value, answer: &Value) -> Consequence {
    let plan: BuildPlan = match serde_json::from_value(answer.clone()) {
        Ok(plan) => plan,
        Err(error) => {
            return Consequence::refused(vec![format!("the plan cannot be read: {error}")]);
        }
    };
    let rules = Rules {
        images: &ImagePolicy::default(),
        base_image: request.get("baseImage").and_then(Value::as_str),
        source: request.get("source").is_some_and(|source| !source.is_null()),
        brings_image: false,
        memory_mb: request.get("memoryMb").and_then(Value::as_u64).and_then(|mb| u32::try_from(mb).ok()).unwrap_or(0),
    };
    match guard(plan, &rules) {
        Ok(plan) => Consequence {
            dockerfile: Some(dockerfile(&plan, &Bases::new(), &DockerfileOptions::default())),
            ..Consequence::default()
        },
        Err(violations) => Consequence::refused(violations.iter().map(refusal).collect()),
    }
}

/// Asks again, this time as what makes bills does: with the terms of the configuration, and every rule they imply.
async fn of_rating(component: &Component, case: &Case) -> Consequence {
    let Some(policy) = component.as_billing() else { return Consequence::default() };
    match rate_json(&policy, &case.config.to_string(), &case.input).await {
        Ok(rated) => Consequence { bill: Some(bill(&rated)), ..Consequence::default() },
        Err(RatingFailure::Input(broken) | RatingFailure::Refused(broken)) => {
            Consequence::refused(broken.iter().map(ToString::to_string).collect())
        }
        Err(failure @ RatingFailure::Call { .. }) => Consequence::refused(vec![failure.to_string()]),
    }
}

fn bill(rated: &Rated) -> String {
    let mut text = String::new();
    for line in &rated.lines {
        // Writing to a String never fails.
        let _ = writeln!(text, "{}  {}", line.rounded, line.line.title);
    }
    let _ = write!(text, "{}  in all", rated.total);
    text
}

fn refusal(violation: &Violation) -> String {
    if violation.path.is_empty() {
        violation.message.clone()
    } else {
        format!("{}: {}", violation.path, violation.message)
    }
}
