//! Asking a billing policy.

use std::collections::BTreeSet;

use convergence_model::rating::{RatingInput, RatingTerms, UsageLimit};
use convergence_sandbox::{Billing, CallError};
use serde_json::Value;

use crate::answer::{Rated, check};
use crate::failure::{Broken, RatingFailure, Rule};
use crate::{facts, limits as watched, terms};

/// Rates a period: asks for the terms of every configuration in it, holds the facts against them, asks for lines and
/// holds those against the facts. Each call runs in a fresh instance. The input is sorted first, so that the same facts
/// are the same bytes in whatever order they come.
pub async fn rate(policy: &Billing, mut input: RatingInput) -> Result<Rated, RatingFailure> {
    input.sort();
    let terms = agreed(policy, &input).await?;
    let output = policy.rate(&input).await.map_err(|error| RatingFailure::Call { function: "rate", error })?;
    check(&terms, &input, output).map_err(RatingFailure::Refused)
}

/// As [`rate`], from a case's JSON as `record example` of `wit/plugin` says it is written; `config` fills in the
/// input's configuration.
pub async fn rate_json(policy: &Billing, config: &str, input: &Value) -> Result<Rated, RatingFailure> {
    let mut input: RatingInput = serde_json::from_value(input.clone()).map_err(|error| {
        RatingFailure::Input(vec![Broken { rule: Rule::Facts, place: "input".to_owned(), message: error.to_string() }])
    })?;
    config.clone_into(&mut input.config);
    rate(policy, input).await
}

/// What to watch until the period is rated, checked like an answer of [`rate`].
pub async fn limits(policy: &Billing, mut input: RatingInput) -> Result<Vec<UsageLimit>, RatingFailure> {
    input.sort();
    let terms = agreed(policy, &input).await?;
    let limits = policy.limits(&input).await.map_err(|error| RatingFailure::Call { function: "limits", error })?;
    watched::check_limits(&terms, &limits).map_err(RatingFailure::Refused)?;
    Ok(limits)
}

/// The terms of all configurations in the period, which the input satisfies. Rounding is that of the period's end.
async fn agreed(policy: &Billing, input: &RatingInput) -> Result<RatingTerms, RatingFailure> {
    let failed = |error: CallError| RatingFailure::Call { function: "terms", error };
    let mut agreed = policy.terms(&input.config).await.map_err(failed)?;
    terms::check(&agreed).map_err(RatingFailure::Refused)?;
    let others: BTreeSet<&String> = input.segments.iter().filter_map(|segment| segment.config.as_ref()).collect();
    for config in others.into_iter().filter(|config| **config != input.config) {
        let other = policy.terms(config).await.map_err(failed)?;
        terms::join(&mut agreed, other).map_err(RatingFailure::Refused)?;
    }
    facts::check(&agreed, input).map_err(RatingFailure::Input)?;
    Ok(agreed)
}
