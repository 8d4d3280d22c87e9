//! What is to be rated, held against what the policy's terms ask for: a policy may rely on what the contract says.

use std::collections::BTreeSet;

use convergence_model::decimal::Decimal;
use convergence_model::rating::{Need, RatingInput, RatingTerms, Series};

use crate::coverage::{SeriesKey, name};
use crate::failure::{Broken, Problems, Rule};
use crate::terms::is_currency;

/// Digits of the finest minor unit that any currency has.
const MAX_MINOR_DIGITS: u8 = 4;

/// Whether `input` is what these terms need.
pub(crate) fn check(terms: &RatingTerms, input: &RatingInput) -> Result<(), Vec<Broken>> {
    let mut problems = Problems::default();
    currency(terms, input, &mut problems);
    period(input, &mut problems);
    needs(terms, input, &mut problems);
    money(input, &mut problems);
    problems.into_result()
}

fn currency(terms: &RatingTerms, input: &RatingInput, problems: &mut Problems) {
    let currency = &input.currency;
    problems.require(is_currency(currency), Rule::Currency, "input", || {
        format!("`{currency}` is no currency of ISO 4217, such as `EUR`")
    });
    problems.require(input.minor_digits <= MAX_MINOR_DIGITS, Rule::Currency, "input", || {
        format!("a minor unit of {} digits is finer than any currency's", input.minor_digits)
    });
    problems.require(
        terms.currencies.is_empty() || terms.currencies.contains(currency),
        Rule::Currency,
        "input",
        || format!("the bill is in {currency}, and the terms allow {}", terms.currencies.join(", ")),
    );
}

fn period(input: &RatingInput, problems: &mut Problems) {
    let period = input.period;
    problems.require(period.is_forward(), Rule::Period, "input", || format!("the period {period} has no length"));
    problems.require(period.start <= input.as_of && input.as_of <= period.end, Rule::Period, "input", || {
        format!("usage is known up to {}, outside of {period}", input.as_of)
    });
    let mut reached = period.start;
    for segment in &input.segments {
        let span = segment.span;
        problems.require(span.is_forward() && span.start == reached, Rule::Period, "input", || {
            format!("the segment {span} does not follow on {reached}")
        });
        problems.require(!segment.seats.is_negative(), Rule::Period, "input", || {
            format!("the segment {span} has {} seats", segment.seats)
        });
        reached = span.end;
    }
    problems.require(reached == period.end, Rule::Period, "input", || {
        format!("the segments end at {reached}, and the period at {}", period.end)
    });
}

fn needs(terms: &RatingTerms, input: &RatingInput, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for series in &input.usage {
        let key = SeriesKey::of(&series.need, &series.dimensions);
        match terms.needs.iter().find(|need| need.id == series.need) {
            Some(need) => {
                problems.require(fits(need, series), Rule::Needs, &key, || {
                    format!("the need is about {} by {:?}, and this is not", need.meter, need.group_by)
                });
                buckets(need, series, input, problems);
            }
            None => problems.push(Rule::Needs, &key, "nothing in the terms needs this"),
        }
        problems.require(seen.insert(key.clone()), Rule::UniqueKeys, &key, || "it is given twice".to_owned());
    }
    for need in &terms.needs {
        let answered = input.usage.iter().any(|series| series.need == need.id);
        problems.require(answered || !need.group_by.is_empty(), Rule::Needs, name(&need.id, &[]), || {
            "the terms need it, and there is none; without usage it is a series of 0".to_owned()
        });
    }
}

fn fits(need: &Need, series: &Series) -> bool {
    let names = series.dimensions.iter().map(|dimension| &dimension.key);
    need.meter == series.meter && names.eq(need.group_by.iter())
}

fn buckets(need: &Need, series: &Series, input: &RatingInput, problems: &mut Problems) {
    let place = name(&series.need, &series.dimensions);
    let mut reached = input.period.start;
    for bucket in &series.buckets {
        let span = bucket.span;
        problems.require(span.is_forward() && reached <= span.start, Rule::Period, &place, || {
            format!("the bucket {span} begins before {reached}, where it may")
        });
        let inside = input.segments.iter().any(|segment| segment.span.contains(span));
        problems.require(inside, Rule::Period, &place, || format!("the bucket {span} is in no one segment"));
        reached = span.end;
    }
    if need.aggregation.is_additive() && !series.buckets.is_empty() {
        match Decimal::checked_sum(series.buckets.iter().map(|bucket| bucket.quantity)) {
            Ok(sum) => {
                problems.require(sum == series.quantity, Rule::Facts, &place, || {
                    format!("its buckets add up to {sum}, and it says {}", series.quantity)
                });
            }
            Err(error) => problems.push(Rule::Overflow, &place, format!("its buckets cannot be added: {error}")),
        }
    }
}

fn money(input: &RatingInput, problems: &mut Problems) {
    let mut balances = BTreeSet::new();
    for balance in &input.balances {
        let place = format!("balance {}", balance.id);
        problems.require(balances.insert(&balance.id), Rule::UniqueKeys, &place, || "it is given twice".to_owned());
        problems.require(!balance.available.is_negative(), Rule::Facts, &place, || {
            format!("{} is left of it, which is less than nothing", balance.available)
        });
    }
    let mut adjustments = BTreeSet::new();
    for adjustment in &input.adjustments {
        let place = format!("adjustment {}", adjustment.id);
        problems
            .require(adjustments.insert(&adjustment.id), Rule::UniqueKeys, &place, || "it is given twice".to_owned());
        problems.require(adjustment.percent.is_some() != adjustment.amount.is_some(), Rule::Facts, &place, || {
            "it takes off either a percentage or an amount".to_owned()
        });
    }
    for rate in &input.rates {
        problems.require(rate.rate > Decimal::ZERO, Rule::Facts, format!("rate {}/{}", rate.base, rate.quote), || {
            format!("{} is not above zero", rate.rate)
        });
    }
}
