//! Billing policies: `terms`, `rate` and `limits`.

use std::sync::Arc;

use convergence_model::rating::{RatingInput, RatingOutput, RatingTerms, UsageLimit};
use jiff::Timestamp;
use sha2::Sha256;
use wasmtime::Store;
use wasmtime::component::HasSelf;

use super::bindings::billing::BillingPolicyPre;
use super::bindings::billing::convergence::billing::billing_types as wit;
use super::bindings::template::convergence::host;
use super::bindings::template::convergence::plugin::plugin_types;
use super::{Compiled, convert, hash, math, rating};
use crate::call::{CallState, Calls, Question, Reported};
use crate::component::{self, Loaded, RawDescription};
use crate::error::{CallError, LoadError};
use crate::json::Main;

type Pre = BillingPolicyPre<CallState>;

/// A billing policy ready to be called.
pub(crate) struct Face {
    pub(crate) pre: Pre,
}

/// What a billing policy is for. Whether its lines sum is looked at where they are used: that needs its terms.
pub(crate) const MAIN: Main =
    Main { interface: "convergence:billing/rater@0.1.0", function: "rate", check: |_, _| Ok(()) };

/// Links a component of kind billing.
pub(crate) fn link(compiled: &Compiled<'_>) -> wasmtime::Result<Pre> {
    let mut linker = compiled.linker()?;
    host::log::add_to_linker::<CallState, HasSelf<_>>(&mut linker, |state| state)?;
    math::add_to_linker(&mut linker)?;
    plugin_types::add_to_linker::<CallState, HasSelf<_>>(&mut linker, |state| state)?;
    wit::add_to_linker::<CallState, HasSelf<_>>(&mut linker, |state| state)?;
    BillingPolicyPre::new(linker.instantiate_pre(compiled.component)?)
}

/// Asks what it is.
pub(crate) fn describe(calls: &Calls, compiled: &Compiled<'_>, pre: &Pre) -> Result<RawDescription, LoadError> {
    let answer = calls.ask_blocking(&compiled.callee(), Describe(pre.clone()));
    Ok(convert::description(answer.map_err(|error| LoadError::Call { function: "describe", error })?))
}

/// A component of kind billing. What it answers is read, numbers and times included, and not checked any further:
/// that is done where the answer is used.
#[derive(Clone)]
pub struct Billing {
    loaded: Arc<Loaded>,
}

impl Billing {
    pub(crate) fn new(loaded: Arc<Loaded>) -> Self {
        Self { loaded }
    }

    /// What a configuration needs and allows.
    pub async fn terms(&self, config: &str) -> Result<RatingTerms, CallError> {
        self.terms_reported(config).await.result
    }

    /// As [`Self::terms`], with what the call took.
    pub async fn terms_reported(&self, config: &str) -> Reported<RatingTerms> {
        let config = config.to_owned();
        let answer = self.ask(|pre| Terms(pre, config)).await;
        answer.and_then(|answer| rating::terms(answer.map_err(convert::plugin_error)?))
    }

    /// Rates a period.
    pub async fn rate(&self, input: &RatingInput) -> Result<RatingOutput, CallError> {
        self.rate_reported(input).await.result
    }

    /// As [`Self::rate`], with what the call took.
    pub async fn rate_reported(&self, input: &RatingInput) -> Reported<RatingOutput> {
        let answer = self.ask(|pre| Rate(pre, rating::input(input), input.period.end)).await;
        answer.and_then(|answer| rating::output(answer.map_err(convert::plugin_error)?))
    }

    /// What to watch until the period is rated.
    pub async fn limits(&self, input: &RatingInput) -> Result<Vec<UsageLimit>, CallError> {
        self.limits_reported(input).await.result
    }

    /// As [`Self::limits`], with what the call took.
    pub async fn limits_reported(&self, input: &RatingInput) -> Reported<Vec<UsageLimit>> {
        let answer = self.ask(|pre| Limits(pre, rating::input(input), input.period.end)).await;
        answer.and_then(|answer| rating::limits(answer.map_err(convert::plugin_error)?))
    }

    async fn ask<Q: Question>(&self, question: impl FnOnce(Pre) -> Q) -> Reported<Q::Answer> {
        let component::Face::BillingV0_1(face) = &self.loaded.face else {
            return Reported { result: Err(CallError::Host("it is not a billing policy".to_owned())), report: None };
        };
        self.loaded.ask(question(face.pre.clone())).await
    }
}

impl std::fmt::Debug for Billing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Billing").field(&self.loaded.description.id).finish()
    }
}

struct Describe(Pre);
struct Terms(Pre, String);
// The end of the period is the time of a rating: a rating of the same usage on another day is the same.
struct Rate(Pre, wit::RatingInput, Timestamp);
struct Limits(Pre, wit::RatingInput, Timestamp);

impl Question for Describe {
    type Answer = plugin_types::Description;
    const FUNCTION: &'static str = "describe";
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_plugin_metadata().call_describe(store).await
    }
}

impl Question for Terms {
    type Answer = Result<wit::RatingTerms, plugin_types::PluginError>;
    const FUNCTION: &'static str = "terms";
    fn input_bytes(&self) -> usize {
        self.1.len()
    }
    fn hash_input(&self, sha: &mut Sha256) {
        hash(sha, &self.1);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_billing_rater().call_terms(store, &self.1).await
    }
}

impl Question for Rate {
    type Answer = Result<wit::RatingOutput, plugin_types::PluginError>;
    const FUNCTION: &'static str = "rate";
    fn input_bytes(&self) -> usize {
        rating::input_bytes(&self.1)
    }
    fn at(&self) -> Timestamp {
        self.2
    }
    fn hash_input(&self, sha: &mut Sha256) {
        hash(sha, &self.1);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_billing_rater().call_rate(store, &self.1).await
    }
}

impl Question for Limits {
    type Answer = Result<Vec<wit::UsageLimit>, plugin_types::PluginError>;
    const FUNCTION: &'static str = "limits";
    fn input_bytes(&self) -> usize {
        rating::input_bytes(&self.1)
    }
    fn at(&self) -> Timestamp {
        self.2
    }
    fn hash_input(&self, sha: &mut Sha256) {
        hash(sha, &self.1);
    }
    async fn ask(&self, store: &mut Store<CallState>) -> wasmtime::Result<Self::Answer> {
        let guest = self.0.instantiate_async(&mut *store).await?;
        guest.convergence_billing_rater().call_limits(store, &self.1).await
    }
}
