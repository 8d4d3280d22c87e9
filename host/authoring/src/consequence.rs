//! What a server makes of an answer before it acts on it: the checks that are the host's, not the plugin's.

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
}

/// Looks at the answer to a case as a server does whose operator has configured nothing. `answer` is
/// `CaseOutcome::answer`: a foreseen failure has no consequence.
pub(crate) async fn of(component: &Component, case: &Case, answer: &Value) -> Consequence {
    match component.kind() {
        _ if answer.get("error").is_some() => Consequence::default(),
        Kind::Template => of_plan(&case.input, answer),
        // A verdict that breaks the contract is no answer at all: the sandbox sees to that.
        Kind::Policy | Kind::Billing => Consequence::default(),
    }
}

fn of_plan(request: &Value, answer: &Value) -> Consequence {
    let plan: BuildPlan = match serde_json::from_value(answer.clone()) {
        Ok(plan) => plan,
        Err(error) => {
            return Consequence { refusals: vec![format!("the plan cannot be read: {error}")], dockerfile: None };
        }
    };
    let rules = Rules {
        images: &ImagePolicy::default(),
        base_image: request.get("baseImage").and_then(Value::as_str),
        source: request.get("source").is_some_and(|source| !source.is_null()),
        memory_mb: request.get("memoryMb").and_then(Value::as_u64).and_then(|mb| u32::try_from(mb).ok()).unwrap_or(0),
    };
    match guard(plan, &rules) {
        Ok(plan) => Consequence {
            refusals: Vec::new(),
            dockerfile: Some(dockerfile(&plan, &Bases::new(), &DockerfileOptions::default())),
        },
        Err(violations) => Consequence { refusals: violations.iter().map(refusal).collect(), dockerfile: None },
    }
}

fn refusal(violation: &Violation) -> String {
    if violation.path.is_empty() {
        violation.message.clone()
    } else {
        format!("{}: {}", violation.path, violation.message)
    }
}
