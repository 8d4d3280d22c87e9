//! What a configuration needs and allows, held against what this host can do.

use std::collections::BTreeSet;

use convergence_model::rating::{Aggregation, Bucketing, Need, RatingTerms};

use crate::failure::{Broken, Problems, Rule};

const MAX_NEEDS: usize = 64;
const MAX_CURRENCIES: usize = 200;
const MAX_DIMENSIONS: usize = 8;

/// Whether the terms can be served.
pub(crate) fn check(terms: &RatingTerms) -> Result<(), Vec<Broken>> {
    let mut problems = Problems::default();
    let count = terms.needs.len();
    problems.require(count <= MAX_NEEDS, Rule::Bounds, "terms", || {
        format!("there are {count} needs, and {MAX_NEEDS} are allowed")
    });
    problems.require(terms.currencies.len() <= MAX_CURRENCIES, Rule::Bounds, "terms", || {
        format!("there are {} currencies, and {MAX_CURRENCIES} are allowed", terms.currencies.len())
    });
    for currency in &terms.currencies {
        problems.require(is_currency(currency), Rule::Terms, "terms", || {
            format!("`{currency}` is no currency of ISO 4217, such as `EUR`")
        });
    }
    let mut ids = BTreeSet::new();
    for need in terms.needs.iter().take(MAX_NEEDS) {
        check_need(need, &mut problems);
        problems.require(ids.insert(&need.id), Rule::UniqueKeys, place(need), || "its id is used twice".to_owned());
    }
    problems.into_result()
}

fn check_need(need: &Need, problems: &mut Problems) {
    let mut require = |holds: bool, message: String| problems.require(holds, Rule::Terms, place(need), || message);
    require(is_slug(&need.id), "an id is a slug of at most 63 bytes, such as `requests`".to_owned());
    require(
        need.meter.len() <= 255 && need.meter.split('.').all(is_slug),
        format!("`{}` is no name of a meter", need.meter),
    );
    match &need.aggregation {
        Aggregation::Other(name) => {
            require(false, format!("this server does not know the aggregation `{name}`"));
        }
        Aggregation::Percentile(share) => {
            require((1..10_000).contains(share), format!("the percentile {share} is not 1 to 9999"));
        }
        _ => {}
    }
    if let Bucketing::Seconds(seconds) = need.bucketing {
        require((60..=86_400).contains(&seconds), format!("buckets of {seconds} seconds are not 60 to 86400"));
    }
    let names: BTreeSet<&String> = need.group_by.iter().collect();
    require(
        need.group_by.len() <= MAX_DIMENSIONS && names.len() == need.group_by.len(),
        format!("it is grouped by at most {MAX_DIMENSIONS} different dimensions"),
    );
}

fn place(need: &Need) -> String {
    format!("need {}", need.id)
}

/// Joins the terms of another configuration of the same period to those of the one at its end. A need must mean the
/// same in both, and a currency must be allowed by both.
pub(crate) fn join(terms: &mut RatingTerms, other: RatingTerms) -> Result<(), Vec<Broken>> {
    let mut problems = Problems::default();
    if terms.currencies.is_empty() {
        terms.currencies = other.currencies;
    } else if !other.currencies.is_empty() {
        terms.currencies.retain(|currency| other.currencies.contains(currency));
        problems.require(!terms.currencies.is_empty(), Rule::Currency, "terms", || {
            "the configurations of the period's segments have no currency in common".to_owned()
        });
    }
    for need in other.needs {
        match terms.needs.iter().find(|known| known.id == need.id) {
            Some(known) => {
                problems.require(*known == need, Rule::Terms, place(&need), || {
                    "it means one thing in one configuration of the period and another in another".to_owned()
                });
            }
            None => terms.needs.push(need),
        }
    }
    problems.into_result()?;
    check(terms)
}

/// Three capital letters.
pub(crate) fn is_currency(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase())
}

fn is_slug(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}
