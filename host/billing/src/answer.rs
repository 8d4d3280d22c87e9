//! A policy's answer, held against what it was asked; and the bill that comes of one that holds.

use std::collections::BTreeMap;

use convergence_model::decimal::Decimal;
use convergence_model::plan::Attribute;
use convergence_model::rating::{
    Draw, LINE_KINDS, Line, RatingInput, RatingOutput, RatingTerms, STEP_KINDS, Step, Waiver,
};
use serde::Serialize;

use crate::failure::{Broken, Problems, Rule};
use crate::{coverage, draws};

/// Lines, and also draws and waivers, of an answer.
const MAX_LINES: usize = 10_000;
const MAX_STEPS: usize = 64;
const MAX_KEY_BYTES: usize = 255;
const MAX_TEXT_CHARS: usize = 200;
const MAX_CARRIED: usize = 64;
const MAX_CARRIED_KEY_BYTES: usize = 63;
const MAX_CARRIED_VALUE_BYTES: usize = 1024;

/// What a period costs: an answer that broke no rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rated {
    /// In the order they are to be read.
    pub lines: Vec<RatedLine>,
    /// The sum of the rounded lines.
    pub total: Decimal,
    /// What is used up when this is finalized.
    pub draws: Vec<Draw>,
    /// What is not billed.
    pub waived: Vec<Waiver>,
    /// For the next period.
    pub carry_out: Vec<Attribute>,
    /// For later.
    pub extra: Vec<Attribute>,
}

/// A line and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RatedLine {
    /// As the policy gave it.
    #[serde(flatten)]
    pub line: Line,
    /// Its amount in whole minor units, rounded once, as the terms say.
    pub rounded: Decimal,
}

/// Holds an answer against every rule, and rounds it. All that is broken is named.
///
/// `terms` are those of every configuration in the period, joined; `input` is what was asked.
pub fn check(terms: &RatingTerms, input: &RatingInput, output: RatingOutput) -> Result<Rated, Vec<Broken>> {
    let mut problems = Problems::default();
    bounds(&output, &mut problems);
    // Beyond its bounds it is not looked at any further: that would cost the host what the bounds are for.
    problems.into_result()?;
    let mut problems = Problems::default();
    keys(&output, &mut problems);
    for line in &output.lines {
        check_line(line, input, &mut problems);
    }
    coverage::check(input, &output, &mut problems);
    draws::check(input, &output, &mut problems);
    carried("carry-out", &output.carry_out, &mut problems);
    carried("extra", &output.extra, &mut problems);
    let rounded = round(terms, input, output, &mut problems);
    problems.into_result()?;
    // Something was pushed where there is none.
    rounded.ok_or_else(Vec::new)
}

/// The line, as it is named in messages.
pub(crate) fn place(line: &Line) -> String {
    format!("line {}", line.key)
}

fn bounds(output: &RatingOutput, problems: &mut Problems) {
    let counts = [("lines", output.lines.len()), ("draws", output.draws.len()), ("waivers", output.waived.len())];
    for (what, count) in counts {
        problems.require(count <= MAX_LINES, Rule::Bounds, "answer", || {
            format!("there are {count} {what}, and {MAX_LINES} are allowed")
        });
    }
    for line in &output.lines {
        let count = line.steps.len();
        problems.require((1..=MAX_STEPS).contains(&count), Rule::Bounds, place(line), || {
            format!("it has {count} steps, and 1 to {MAX_STEPS} are allowed")
        });
        carried(&place(line), &line.extra, problems);
    }
}

fn keys(output: &RatingOutput, problems: &mut Problems) {
    let mut parents: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    for line in &output.lines {
        let first = parents.insert(&line.key, line.parent.as_deref()).is_none();
        problems.require(first, Rule::UniqueKeys, place(line), || "another line has this key, too".to_owned());
    }
    for line in &output.lines {
        let Some(parent) = &line.parent else { continue };
        let message = match parents.get(parent.as_str()) {
            Some(None) => continue,
            Some(Some(_)) => format!("it belongs to `{parent}`, which belongs to a line itself"),
            None => format!("it belongs to `{parent}`, which is not there"),
        };
        problems.push(Rule::Parents, place(line), message);
    }
}

fn check_line(line: &Line, input: &RatingInput, problems: &mut Problems) {
    let at = place(line);
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._:/=@+-".contains(&c);
    let key = !line.key.is_empty() && line.key.len() <= MAX_KEY_BYTES && line.key.bytes().all(allowed);
    problems.require(key, Rule::Bounds, &at, || {
        format!("a key is 1 to {MAX_KEY_BYTES} bytes of letters, digits and `._:/=@+-`")
    });
    text("title", &line.title, &at, problems);
    problems.require(LINE_KINDS.contains(&line.kind.as_str()), Rule::Kinds, &at, || {
        format!("`{}` is no kind of line; there are {}", line.kind, LINE_KINDS.join(", "))
    });
    problems.require(line.span.is_forward() && input.period.contains(line.span), Rule::Intervals, &at, || {
        format!("it is for {}, and the period is {}", line.span, input.period)
    });
    for (index, step) in line.steps.iter().enumerate() {
        check_step(step, &format!("{at}, step {index}"), problems);
    }
    match Decimal::checked_sum(line.steps.iter().map(|step| step.amount)) {
        Ok(sum) => {
            problems.require(sum == line.amount, Rule::StepsSum, &at, || {
                format!("its steps sum to {sum}, and it says {}", line.amount)
            });
        }
        Err(error) => problems.push(Rule::Overflow, &at, format!("its steps cannot be added: {error}")),
    }
}

fn check_step(step: &Step, at: &str, problems: &mut Problems) {
    text("text", &step.text, at, problems);
    problems.require(step.rule.len() <= MAX_KEY_BYTES, Rule::Bounds, at, || {
        format!("its rule has {} bytes, and {MAX_KEY_BYTES} are allowed", step.rule.len())
    });
    problems.require(STEP_KINDS.contains(&step.kind.as_str()), Rule::Kinds, at, || {
        format!("`{}` is no kind of step; there are {}", step.kind, STEP_KINDS.join(", "))
    });
    if let (Some(quantity), Some(price)) = (step.quantity, step.unit_price) {
        match quantity.checked_mul(price) {
            Ok(product) => {
                problems.require(product == step.amount, Rule::StepProduct, at, || {
                    format!("{quantity} times {price} is {product}, and it says {}", step.amount)
                });
            }
            Err(error) => problems.push(Rule::StepProduct, at, format!("{quantity} times {price}: {error}")),
        }
    }
}

fn text(what: &str, text: &str, at: &str, problems: &mut Problems) {
    let fits = !text.is_empty() && text.chars().count() <= MAX_TEXT_CHARS && !text.chars().any(char::is_control);
    problems
        .require(fits, Rule::Bounds, at, || format!("its {what} must be one line of 1 to {MAX_TEXT_CHARS} characters"));
}

fn carried(at: &str, pairs: &[Attribute], problems: &mut Problems) {
    problems.require(pairs.len() <= MAX_CARRIED, Rule::Bounds, at, || {
        format!("it has {} pairs, and {MAX_CARRIED} are allowed", pairs.len())
    });
    let mut known = std::collections::BTreeSet::new();
    for pair in pairs.iter().take(MAX_CARRIED) {
        let fits = pair.key.len() <= MAX_CARRIED_KEY_BYTES && pair.value.len() <= MAX_CARRIED_VALUE_BYTES;
        problems.require(fits, Rule::Bounds, at, || {
            format!("a key has at most {MAX_CARRIED_KEY_BYTES} bytes and a value {MAX_CARRIED_VALUE_BYTES}")
        });
        problems.require(known.insert(&pair.key), Rule::UniqueKeys, at, || format!("`{}` is in it twice", pair.key));
    }
}

/// Rounds every line once and adds what comes of it.
fn round(terms: &RatingTerms, input: &RatingInput, output: RatingOutput, problems: &mut Problems) -> Option<Rated> {
    let mut lines = Vec::with_capacity(output.lines.len());
    let mut total = Decimal::ZERO;
    for line in output.lines {
        let at = place(&line);
        let rounded = line.amount.rounded(input.minor_digits, terms.rounding);
        match rounded.and_then(|rounded| Ok((rounded, total.checked_add(rounded)?))) {
            Ok((rounded, sum)) => {
                total = sum;
                lines.push(RatedLine { line, rounded });
            }
            Err(error) => {
                problems.push(Rule::Overflow, at, format!("the bill cannot be added up: {error}"));
                return None;
            }
        }
    }
    let RatingOutput { draws, waived, carry_out, extra, .. } = output;
    Some(Rated { lines, total, draws, waived, carry_out, extra })
}
