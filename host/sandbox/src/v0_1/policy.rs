//! Validation policies: `evaluate` at each call.

use std::sync::Arc;

use convergence_model::limits::Limits;
use convergence_model::policy::{Review, Verdict};
use jiff::Timestamp;
use serde_json::Value;
use sha2::Sha256;
use wasmtime::Store;
use wasmtime::component::HasSelf;

use super::bindings::policy::convergence::policy::policy_types as wit;
use super::bindings::policy::{ValidationPolicy, ValidationPolicyPre};
use super::bindings::template::convergence::plugin::plugin_types;
use super::{Compiled, convert, hash, text};
use crate::call::{CallState, Calls, Question, Reported};
use crate::component::{self, Loaded, RawDescription};
use crate::error::{CallError, LoadError};
use crate::json::Main;

type Pre = ValidationPolicyPre<CallState>;

/// A policy ready to be called.
pub(crate) struct Face {
    pub(crate) pre: Pre,
}

/// What a policy is for.
pub(crate) const MAIN: Main =
    Main { interface: "convergence:policy/evaluator@0.1.0", function: "evaluate", check: check_json };

/// Links a component of kind policy.
pub(crate) fn link(compiled: &Compiled<'_>) -> wasmtime::Result<Pre> {
    let mut linker = compiled.linker()?;
    ValidationPolicy::add_to_linker::<CallState, HasSelf<_>>(&mut linker, |state| state)?;
    ValidationPolicyPre::new(linker.instantiate_pre(compiled.component)?)
}

/// Asks what it is.
pub(crate) fn describe(calls: &Calls, compiled: &Compiled<'_>, pre: &Pre) -> Result<RawDescription, LoadError> {
    let answer = calls.ask_blocking(&compiled.callee(), Describe(pre.clone()));
    Ok(convert::description(answer.map_err(|error| LoadError::Call { function: "describe", error })?))
}

/// A component of kind policy.
#[derive(Clone)]
pub struct Policy {
    loaded: Arc<Loaded>,
}

impl Policy {
    pub(crate) fn new(loaded: Arc<Loaded>) -> Self {
        Self { loaded }
    }

    /// Judges a change. Every error refuses it. Limits in the verdict are never above those of the review.
    pub async fn evaluate(&self, review: &Review) -> Result<Verdict, CallError> {
        self.evaluate_reported(review).await.result
    }

    /// As [`Self::evaluate`], with what the call took.
    pub async fn evaluate_reported(&self, review: &Review) -> Reported<Verdict> {
        let component::Face::PolicyV0_1(face) = &self.loaded.face else {
            return Reported { result: Err(CallError::Host("it is not a policy".to_owned())), report: None };
        };
        let question = Evaluate(face.pre.clone(), convert::review(review), review.at);
        let reported = self.loaded.ask(question).await;
        let asked = review.limits;
        reported.and_then(|answer| {
            let verdict = convert::verdict(answer.map_err(convert::plugin_error)?)?;
            match verdict.tightened {
                Some(limits) if widens(limits, asked) => {
                    Err(CallError::InvalidAnswer(format!("{NEVER_WIDEN}: asked for {asked:?}, answered {limits:?}")))
                }
                Some(limits) if takes_all(limits, asked) => {
                    Err(CallError::InvalidAnswer(format!("{LEAVES_SOME}: asked for {asked:?}, answered {limits:?}")))
                }
                _ => Ok(verdict),
            }
        })
    }
}

const NEVER_WIDEN: &str = "a policy may tighten limits, never widen them";
const LEAVES_SOME: &str = "a policy that leaves nothing of a limit must say so with a violation";

/// The same of a verdict in JSON. Both have been through the types of the contract.
fn check_json(review: &Value, verdict: &Value) -> Result<(), String> {
    let violations = verdict.get("violations").and_then(Value::as_array).into_iter().flatten();
    for code in violations.filter_map(|violation| violation.get("code")?.as_str()) {
        if !text::is_slug(code) {
            return Err(format!("the code of a violation is {code:?}; {}", convert::CODE_IS_A_SLUG));
        }
    }
    let Some(answered) = verdict.get("tightened").and_then(Value::as_object) else { return Ok(()) };
    let asked = |name: &str| review.get("limits").and_then(|limits| limits.get(name)?.as_u64());
    for (name, limit) in answered {
        let (asked, limit) = (asked(name).unwrap_or(0), limit.as_u64().unwrap_or(0));
        let broken = if limit > asked { NEVER_WIDEN } else { LEAVES_SOME };
        if limit > asked || (limit == 0 && asked > 0) {
            return Err(format!("{broken}: asked for {name} {asked}, answered {limit}"));
        }
    }
    Ok(())
}

/// Whether any limit is above what was asked for.
fn widens(limits: Limits, asked: Limits) -> bool {
    limits.tightened_by(asked) != limits
}

/// Whether nothing is left of a limit that something was asked of: the caller would be told that they asked for too little.
fn takes_all(limits: Limits, asked: Limits) -> bool {
    let each = |limits: Limits| [limits.cpu_millis, limits.memory_mb, limits.disk_mb, limits.replicas, limits.pids];
    each(limits).into_iter().zip(each(asked)).any(|(limit, asked)| limit == 0 && asked > 0)
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Policy").field(&self.loaded.description.id).finish()
    }
}

struct Describe(Pre);
struct Evaluate(Pre, wit::Review, Timestamp);

impl Question for Describe {
    type Answer = plugin_types::Description;
    const FUNCTION: &'static str = "describe";
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_plugin_metadata().call_describe(store).await
    }
}

impl Question for Evaluate {
    type Answer = Result<wit::Verdict, plugin_types::PluginError>;
    const FUNCTION: &'static str = "evaluate";
    fn input_bytes(&self) -> usize {
        convert::review_bytes(&self.1)
    }
    fn at(&self) -> Timestamp {
        self.2
    }
    fn hash_input(&self, sha: &mut Sha256) {
        hash(sha, &self.1);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_policy_evaluator().call_evaluate(store, &self.1).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn one_wider_limit_among_tighter_ones_is_wider() {
        let asked = Limits::DEFAULT;
        assert!(!widens(asked, asked));
        assert!(!widens(Limits { memory_mb: 1, ..asked }, asked));
        assert!(widens(Limits { memory_mb: 1, pids: asked.pids + 1, ..asked }, asked));
    }

    #[test]
    fn a_case_is_held_to_the_same_limits() {
        let check = |asked: u32, answered: u32| {
            let (review, verdict) =
                (json!({ "limits": { "memoryMb": asked } }), json!({ "tightened": { "memoryMb": answered } }));
            check_json(&review, &verdict)
        };
        assert_eq!([check(512, 512), check(512, 1), check(0, 0)], [Ok(()), Ok(()), Ok(())]);
        assert!(check(512, 513).unwrap_err().contains("never widen"));
        assert!(check(512, 0).unwrap_err().contains("leaves nothing"));
    }

    #[test]
    fn nothing_is_less_than_any_tighter_limit() {
        let asked = Limits { disk_mb: 0, ..Limits::DEFAULT };
        assert!(!takes_all(Limits { memory_mb: 1, ..asked }, asked));
        assert!(takes_all(Limits { memory_mb: 0, ..asked }, asked));
    }
}
