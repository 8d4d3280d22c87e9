//! The billing policy `usage`: prices for usage, fees, commitments, coupons and prepaid credit.
//!
//! Usage is priced by the configuration at the end of the period, each fee by that of its segment. What was invoiced
//! before is priced like everything else and taken off, so that late events cost what they would have cost in time.

use convergence_plugin_api::billing::{
    BillingPolicy, Decimal, Draw, Line, Need, RatingInput, RatingOutput, RatingTerms, Rounding, Series, Step,
    UsageLimit,
};
use convergence_plugin_api::{Description, Example, PluginError, register_billing};

mod config;
mod coupon;
mod price;
#[cfg(test)]
mod tests;
mod time;

use config::{Config, Fee, Price};
use coupon::Coupons;
use price::{Steps, cost};

/// Digits after the point of a prorated fee.
const PRORATED_SCALE: u8 = 12;
/// Characters of a title.
const TITLE_CHARS: usize = 200;
/// Bytes of a key before a long one is shortened.
const KEY_BYTES: usize = 200;

/// The policy.
#[derive(Debug)]
pub struct Usage;

impl BillingPolicy for Usage {
    type Config = Config;

    fn describe() -> Description {
        let description = Description::billing(
            "usage",
            "Usage and fees",
            env!("CARGO_PKG_VERSION"),
            "Bills usage by unit, tier, volume, package or percentage, with fees, commitments, coupons and prepaid credit.",
        )
        .config_schema(include_str!("../config.schema.json"));
        CASES.iter().fold(description, |description, case| description.example(Example::from_case(case)))
    }

    fn terms(config: &Config) -> Result<RatingTerms, PluginError> {
        config.check()?;
        let mut terms = RatingTerms::new(config.rounding);
        terms.currencies.clone_from(&config.currencies);
        for price in &config.prices {
            let need = Need::new(&price.id, &price.meter, price.aggregation.into());
            terms = terms.need(need.group_by(&price.group_by));
        }
        Ok(terms)
    }

    fn rate(input: &RatingInput, config: &Config) -> Result<RatingOutput, PluginError> {
        config.check()?;
        let mut output = RatingOutput::empty();
        let mut coupons = Coupons::new(&input.adjustments)?;
        let mut balances = Balances::new(input)?;
        fees(input, config, &mut coupons, &mut output)?;
        for (index, price) in config.prices.iter().enumerate() {
            let rule = format!("prices[{index}]");
            for series in input.series(&price.id) {
                usage(input, price, &rule, series, &mut coupons, &mut balances, &mut output)?;
            }
        }
        commitment(input, config, &mut output)?;
        for line in &mut output.lines {
            balances.pay(input, line, &mut output.draws)?;
        }
        Ok(output)
    }

    fn limits(_input: &RatingInput, config: &Config) -> Result<Vec<UsageLimit>, PluginError> {
        let watched = config.prices.iter().filter_map(|price| Some((price, price.limit.as_ref()?)));
        Ok(watched
            .map(|(price, watch)| {
                let mut limit = UsageLimit::new(&price.id, watch.maximum, &watch.action);
                limit.alerts = watch.alerts.iter().map(Decimal::to_string).collect();
                limit
            })
            .collect())
    }
}

register_billing!(Usage);

/// What the policy must hold to; also checked against `cases/oracle.py`.
const CASES: [&str; 13] = [
    include_str!("../cases/per-unit.json"),
    include_str!("../cases/graduated.json"),
    include_str!("../cases/tier-bounds.json"),
    include_str!("../cases/volume.json"),
    include_str!("../cases/package.json"),
    include_str!("../cases/percentage.json"),
    include_str!("../cases/free-and-convert.json"),
    include_str!("../cases/flat-fee.json"),
    include_str!("../cases/maximum-and-minimum.json"),
    include_str!("../cases/commitment.json"),
    include_str!("../cases/prepaid.json"),
    include_str!("../cases/proration.json"),
    include_str!("../cases/coupons.json"),
];

/// The line of one series.
fn usage(
    input: &RatingInput,
    price: &Price,
    rule: &str,
    series: &Series,
    coupons: &mut Coupons<'_>,
    balances: &mut Balances,
    output: &mut RatingOutput,
) -> Result<(), PluginError> {
    let (total, invoiced, open) = (series.total()?, series.invoiced()?, series.open()?);
    let key = key(&price.id, series);
    let prepaid = balances.units(series, &key, open, &mut output.draws)?;
    let mut before = coupons.percentages();
    let mut steps = cost(price, rule, total, prepaid, coupons)?;
    if !prepaid.is_zero() {
        steps.push(Step::priced("free", "balances", "prepaid units", prepaid, Decimal::ZERO)?)?;
    }
    if !invoiced.is_zero() {
        steps.take_back(cost(price, rule, invoiced, Decimal::ZERO, &mut before)?)?;
    }
    if open.is_zero() && steps.amount.is_zero() {
        return Ok(());
    }
    let kind = if open.is_negative() { "correction" } else { "usage" };
    let mut line = Line::usage(&key, &title(price, series), series, &input.period, open);
    kind.clone_into(&mut line.kind);
    output.lines.push(with(line, steps)?);
    Ok(())
}

/// A line with its steps; one that costs nothing has a step that says so.
fn with(mut line: Line, steps: Steps) -> Result<Line, PluginError> {
    for step in steps.steps {
        line.push(step)?;
    }
    if line.steps.is_empty() {
        line.push(Step::new("free", "", "costs nothing", Decimal::ZERO))?;
    }
    Ok(line)
}

fn fees(
    input: &RatingInput,
    config: &Config,
    coupons: &mut Coupons<'_>,
    output: &mut RatingOutput,
) -> Result<(), PluginError> {
    let whole = time::seconds(&input.period)?;
    let last = input.segments.len().saturating_sub(1);
    for (at, segment) in input.segments.iter().enumerate() {
        let own = segment.config_or(config)?;
        own.check()?;
        let seats: Decimal = segment.seats.parse()?;
        for (index, fee) in own.fees.iter().enumerate() {
            let key = if fee.prorate { format!("fee:{}:{at}", fee.id) } else { format!("fee:{}", fee.id) };
            // A fee that is not divided is that of the plan at the end. What an earlier invoice holds is not due again.
            if (!fee.prorate && at != last) || input.billed.iter().any(|line| line.key == key) {
                continue;
            }
            let rule = format!("fees[{index}]");
            let mut steps = fee_steps(fee, &rule, seats)?;
            if fee.prorate && time::seconds(&segment.span)? != whole {
                let part = time::seconds(&segment.span)?;
                let due = steps.amount.checked_mul(part)?.checked_div(whole, PRORATED_SCALE, Rounding::HalfEven)?;
                let text = format!("{part} of {whole} seconds");
                steps.push(Step::new("proration", &rule, text, due.checked_sub(steps.amount)?))?;
            }
            coupons.apply(None, &mut steps)?;
            let span = if fee.prorate { &segment.span } else { &input.period };
            output.lines.push(with(Line::fixed("recurring", &key, &cut(&fee.title), span), steps)?);
        }
    }
    Ok(())
}

fn fee_steps(fee: &Fee, rule: &str, seats: Decimal) -> Result<Steps, PluginError> {
    let mut steps = Steps::default();
    if fee.per_seat {
        steps.push(Step::priced("flat", rule, format!("{seats} seats"), seats, fee.amount)?)?;
    } else {
        steps.push(Step::new("flat", rule, "for the period", fee.amount))?;
    }
    Ok(steps)
}

/// What is missing to the commitment, once the period is over.
fn commitment(input: &RatingInput, config: &Config, output: &mut RatingOutput) -> Result<(), PluginError> {
    let Some(committed) = config.commitment.filter(|_| input.as_of == input.period.end) else { return Ok(()) };
    let mut spent = Decimal::ZERO;
    for line in output.lines.iter().chain(&input.billed) {
        spent = spent.checked_add(line.total()?)?;
    }
    if spent < committed {
        let mut line = Line::fixed("minimum", "commitment", "Commitment", &input.period);
        let text = format!("{spent} used of {committed} committed");
        line.push(Step::new("minimum", "commitment", text, committed.checked_sub(spent)?))?;
        output.lines.push(line);
    }
    Ok(())
}

/// What was paid for earlier, and what is left of it.
struct Balances {
    left: Vec<(String, String, Decimal)>,
}

impl Balances {
    fn new(input: &RatingInput) -> Result<Self, PluginError> {
        let left = input.balances.iter().filter(|balance| {
            // Every line starts in the period: what was lost before pays for nothing.
            balance.expires.as_ref().is_none_or(|expires| *expires > input.period.start)
        });
        let left = left.map(|balance| Ok((balance.id.clone(), balance.unit.clone(), balance.available.parse()?)));
        Ok(Self { left: left.collect::<Result<_, PluginError>>()? })
    }

    /// Uses up to `wanted` of the balances in `unit`, in whole steps of `scale` digits.
    fn take(
        &mut self,
        unit: &str,
        line: &str,
        wanted: Decimal,
        scale: u8,
        draws: &mut Vec<Draw>,
    ) -> Result<Decimal, PluginError> {
        let mut taken = Decimal::ZERO;
        for (id, _, left) in self.left.iter_mut().filter(|(_, of, _)| of == unit) {
            let amount = wanted.checked_sub(taken)?.min(*left).rounded(scale, Rounding::Down)?;
            if amount > Decimal::ZERO {
                *left = left.checked_sub(amount)?;
                taken = taken.checked_add(amount)?;
                draws.push(Draw { balance: id.clone(), line: line.to_owned(), amount: amount.to_string() });
            }
        }
        Ok(taken)
    }

    /// Prepaid units of a series.
    fn units(
        &mut self,
        series: &Series,
        line: &str,
        open: Decimal,
        draws: &mut Vec<Draw>,
    ) -> Result<Decimal, PluginError> {
        self.take(&series.unit, line, open, 18, draws)
    }

    /// Prepaid money: whole minor units, so that the ledger never holds parts of one.
    fn pay(&mut self, input: &RatingInput, line: &mut Line, draws: &mut Vec<Draw>) -> Result<(), PluginError> {
        let paid = self.take(&input.currency, &line.key, line.total()?, input.minor_digits, draws)?;
        if !paid.is_zero() {
            line.push(Step::new("credit", "balances", "paid from credit", paid.negated()))?;
        }
        Ok(())
    }
}

fn title(price: &Price, series: &Series) -> String {
    let values: Vec<String> = series.dimensions.iter().map(|pair| format!("{} {}", pair.key, pair.value)).collect();
    if values.is_empty() { cut(&price.title) } else { cut(&format!("{} ({})", price.title, values.join(", "))) }
}

/// One line of bounded length, whatever was in the text.
fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TITLE_CHARS).collect()
}

/// The same for the same series in every period. Bytes that keys may not have are written as `=` and their number.
fn key(id: &str, series: &Series) -> String {
    let mut key = format!("usage:{id}");
    for pair in &series.dimensions {
        key.push(':');
        for byte in pair.value.bytes() {
            if byte.is_ascii_alphanumeric() || b"._/-".contains(&byte) {
                key.push(char::from(byte));
            } else {
                key.push_str(&format!("={byte:02X}"));
            }
        }
    }
    if key.len() > KEY_BYTES {
        // FNV-1a: two long values that begin alike must not share a key.
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        key.truncate(KEY_BYTES);
        key.push_str(&format!("+{hash:016x}"));
    }
    key
}
