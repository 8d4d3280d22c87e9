//! Every open unit is billed or waived, once.

use std::collections::BTreeMap;
use std::fmt;

use convergence_model::decimal::{Decimal, MathError};
use convergence_model::plan::Attribute;
use convergence_model::rating::{RatingInput, RatingOutput, Series};

use crate::answer::place;
use crate::failure::{Problems, Rule};

/// Names a series: its need, and the values of its dimensions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesKey<'a> {
    need: &'a str,
    dimensions: Vec<(&'a str, &'a str)>,
}

impl<'a> SeriesKey<'a> {
    pub(crate) fn of(need: &'a str, dimensions: &'a [Attribute]) -> Self {
        let pair = |dimension: &'a Attribute| (dimension.key.as_str(), dimension.value.as_str());
        Self { need, dimensions: dimensions.iter().map(pair).collect() }
    }
}

impl fmt::Display for SeriesKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "series {}", self.need)?;
        if self.dimensions.is_empty() {
            return Ok(());
        }
        let pairs: Vec<String> = self.dimensions.iter().map(|(key, value)| format!("{key}={value}")).collect();
        write!(f, "{{{}}}", pairs.join(","))
    }
}

/// The name of a series, as it is shown.
pub(crate) fn name(need: &str, dimensions: &[Attribute]) -> String {
    SeriesKey::of(need, dimensions).to_string()
}

/// One series and what the answer makes of it.
struct Tally<'a> {
    series: &'a Series,
    billed: Decimal,
    waived: Decimal,
}

/// Holds lines and waivers against the series they are about.
pub(crate) fn check(input: &RatingInput, output: &RatingOutput, problems: &mut Problems) {
    let mut tallies: BTreeMap<SeriesKey<'_>, Tally<'_>> = BTreeMap::new();
    for series in &input.usage {
        let tally = Tally { series, billed: Decimal::ZERO, waived: Decimal::ZERO };
        tallies.insert(SeriesKey::of(&series.need, &series.dimensions), tally);
    }
    for line in &output.lines {
        let place = place(line);
        let Some(need) = &line.need else {
            problems.require(line.kind != "usage", Rule::Series, &place, || {
                "it bills usage and does not say of which need".to_owned()
            });
            problems.require(line.dimensions.is_empty(), Rule::Series, &place, || {
                "it names dimensions and no need".to_owned()
            });
            continue;
        };
        problems.require(matches!(line.kind.as_str(), "usage" | "correction"), Rule::Series, &place, || {
            format!("a line of kind `{}` bills no units, and it names the need `{need}`", line.kind)
        });
        let key = SeriesKey::of(need, &line.dimensions);
        match tallies.get_mut(&key) {
            Some(tally) => {
                let unit = &tally.series.unit;
                problems.require(line.unit == *unit, Rule::Series, &place, || {
                    format!("it counts in `{}`, and {key} in `{unit}`", line.unit)
                });
                let sum = tally.billed.checked_add(line.quantity);
                add(&mut tally.billed, sum, &place, problems);
                direction(tally.series, line.quantity, &place, problems);
            }
            None => problems.push(Rule::Series, &place, format!("it bills {key}, which was not given")),
        }
    }
    for (index, waiver) in output.waived.iter().enumerate() {
        let place = format!("waiver {index}");
        let key = SeriesKey::of(&waiver.need, &waiver.dimensions);
        match tallies.get_mut(&key) {
            Some(tally) => {
                let sum = tally.waived.checked_add(waiver.quantity);
                add(&mut tally.waived, sum, &place, problems);
                direction(tally.series, waiver.quantity, &place, problems);
            }
            None => problems.push(Rule::Series, place, format!("it waives {key}, which was not given")),
        }
    }
    for (key, tally) in &tallies {
        covered(key, tally, problems);
    }
}

fn add(to: &mut Decimal, sum: Result<Decimal, MathError>, place: &str, problems: &mut Problems) {
    match sum {
        Ok(sum) => *to = sum,
        Err(error) => problems.push(Rule::Overflow, place, format!("its units cannot be added: {error}")),
    }
}

/// Units that are billed one way and waived the other would cancel out: neither is honest.
fn direction(series: &Series, quantity: Decimal, place: &str, problems: &mut Problems) {
    let backwards = series.quantity < series.already_invoiced;
    let fits = quantity.is_zero() || quantity.is_negative() == backwards;
    problems.require(fits, Rule::Coverage, place, || {
        let way = if backwards { "credited" } else { "billed" };
        format!("its quantity is {quantity}, and units of this series are to be {way}")
    });
}

fn covered(key: &SeriesKey<'_>, tally: &Tally<'_>, problems: &mut Problems) {
    let Tally { series, billed, waived } = tally;
    let open = series.quantity.checked_sub(series.already_invoiced);
    let accounted = billed.checked_add(*waived);
    let (Ok(open), Ok(accounted)) = (open, accounted) else {
        problems.push(Rule::Overflow, key, "its units have too many digits to be added");
        return;
    };
    problems.require(open == accounted, Rule::Coverage, key, || {
        let Series { unit, quantity, already_invoiced, .. } = series;
        format!(
            "{open} {unit} are open ({quantity} less {already_invoiced} invoiced before), and the answer bills {billed} \
             and waives {waived}"
        )
    });
}
