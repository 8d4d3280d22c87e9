//! Nothing is drawn that is not there.

use std::collections::BTreeMap;

use convergence_model::decimal::{Decimal, Rounding};
use convergence_model::rating::{Balance, Draw, Line, RatingInput, RatingOutput};

use crate::answer::place;
use crate::failure::{Problems, Rule};

/// Holds draws against balances and against the lines they pay for.
pub(crate) fn check(input: &RatingInput, output: &RatingOutput, problems: &mut Problems) {
    let balances: BTreeMap<&str, &Balance> =
        input.balances.iter().map(|balance| (balance.id.as_str(), balance)).collect();
    let lines: BTreeMap<&str, &Line> = output.lines.iter().map(|line| (line.key.as_str(), line)).collect();
    let mut drawn: BTreeMap<&str, Decimal> = BTreeMap::new();
    let mut money: BTreeMap<&str, Decimal> = BTreeMap::new();
    let mut units: BTreeMap<&str, Decimal> = BTreeMap::new();
    for (index, draw) in output.draws.iter().enumerate() {
        let at = format!("draw {index}");
        problems.require(draw.amount > Decimal::ZERO, Rule::Draws, &at, || {
            format!("it draws {}, which is not above zero", draw.amount)
        });
        let Some(balance) = balances.get(draw.balance.as_str()) else {
            problems.push(Rule::Draws, &at, format!("there is no balance `{}`", draw.balance));
            continue;
        };
        let Some(line) = lines.get(draw.line.as_str()) else {
            problems.push(Rule::Draws, &at, format!("there is no line `{}` to pay for", draw.line));
            continue;
        };
        if balance.expires.is_some_and(|expires| expires <= line.span.start) {
            problems.push(
                Rule::Draws,
                &at,
                format!(
                    "the balance `{}` expired before {}, when line `{}` starts",
                    balance.id, line.span.start, line.key
                ),
            );
        }
        let mut total = |totals: &mut BTreeMap<_, Decimal>, key| {
            let total = totals.entry(key).or_default();
            match total.checked_add(draw.amount) {
                Ok(sum) => *total = sum,
                Err(error) => problems.push(Rule::Overflow, &at, format!("draws cannot be added: {error}")),
            }
        };
        total(&mut drawn, balance.id.as_str());
        if balance.unit == input.currency {
            total(&mut money, line.key.as_str());
            whole_minor_units(input, draw, &at, problems);
        } else {
            total(&mut units, line.key.as_str());
            problems.require(line.need.is_some() && line.unit == balance.unit, Rule::Draws, &at, || {
                format!("a balance of `{}` cannot pay for line `{}` in `{}`", balance.unit, line.key, line.unit)
            });
        }
    }
    for (id, sum) in drawn {
        let available = balances.get(id).map_or(Decimal::ZERO, |balance| balance.available);
        problems.require(sum <= available, Rule::Draws, format!("balance {id}"), || {
            format!("{sum} is drawn of {available}")
        });
    }
    for line in &output.lines {
        let paid = money.get(line.key.as_str()).copied().unwrap_or_default();
        credited(line, paid, problems);
        let used = units.get(line.key.as_str()).copied().unwrap_or_default();
        problems.require(used.is_zero() || used <= line.quantity, Rule::Draws, place(line), || {
            format!("{used} units are drawn for it, and it bills {}", line.quantity)
        });
    }
}

/// Money leaves the ledger in coins.
fn whole_minor_units(input: &RatingInput, draw: &Draw, at: &str, problems: &mut Problems) {
    let whole = draw.amount.rounded(input.minor_digits, Rounding::Down) == Ok(draw.amount);
    problems.require(whole, Rule::Draws, at, || {
        format!("{} is no whole number of the minor units of {}", draw.amount, input.currency)
    });
}

/// A credit without a draw would be a gift, a draw without a credit would be paid twice.
fn credited(line: &Line, paid: Decimal, problems: &mut Problems) {
    let credits = line.steps.iter().filter(|step| step.kind == "credit").map(|step| step.amount);
    match Decimal::checked_sum(credits) {
        Ok(credits) => {
            problems.require(credits.negated() == paid, Rule::Credits, place(line), || {
                format!("its credit steps take off {}, and {paid} is drawn for it", credits.negated())
            });
        }
        Err(error) => problems.push(Rule::Overflow, place(line), format!("its credits cannot be added: {error}")),
    }
}
