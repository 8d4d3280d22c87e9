//! Between the records of the billing contract and the nouns of the model. Text becomes a number or a time here, and text
//! that is neither is an answer that breaks the contract.

use std::fmt::Display;
use std::str::FromStr;

use convergence_model::decimal::Decimal;
use convergence_model::rating as model;

use super::bindings::billing::convergence::billing::billing_types as wit;
use super::convert::{attribute_bytes, attributes, attributes_in};
use super::math;
use crate::error::CallError;

// To the guest.

pub(crate) fn input(from: &model::RatingInput) -> wit::RatingInput {
    wit::RatingInput {
        organization: from.organization.clone(),
        subscription: from.subscription.clone(),
        currency: from.currency.clone(),
        minor_digits: from.minor_digits,
        timezone: from.timezone.clone(),
        period: interval_in(from.period),
        as_of: from.as_of.to_string(),
        segments: from.segments.iter().map(segment).collect(),
        usage: from.usage.iter().map(series).collect(),
        billed: from.billed.iter().map(line_in).collect(),
        balances: from.balances.iter().map(balance).collect(),
        adjustments: from.adjustments.iter().map(adjustment).collect(),
        rates: from.rates.iter().map(exchange_rate).collect(),
        carry_in: attributes_in(&from.carry_in),
        config: from.config.clone(),
        extra: attributes_in(&from.extra),
    }
}

fn interval_in(from: model::Interval) -> wit::Interval {
    wit::Interval { start: from.start.to_string(), end: from.end.to_string() }
}

fn segment(from: &model::Segment) -> wit::Segment {
    let day = |day: &model::LocalDay| wit::LocalDay { date: day.date.clone(), span: interval_in(day.span) };
    wit::Segment {
        span: interval_in(from.span),
        config: from.config.clone(),
        seats: from.seats.to_string(),
        days: from.days.iter().map(day).collect(),
    }
}

fn series(from: &model::Series) -> wit::Series {
    let bucket =
        |bucket: &model::Bucket| wit::Bucket { span: interval_in(bucket.span), quantity: bucket.quantity.to_string() };
    wit::Series {
        need: from.need.clone(),
        meter: from.meter.clone(),
        unit: from.unit.clone(),
        dimensions: attributes_in(&from.dimensions),
        quantity: from.quantity.to_string(),
        already_invoiced: from.already_invoiced.to_string(),
        buckets: from.buckets.iter().map(bucket).collect(),
    }
}

fn balance(from: &model::Balance) -> wit::Balance {
    wit::Balance {
        id: from.id.clone(),
        kind: from.kind.clone(),
        unit: from.unit.clone(),
        available: from.available.to_string(),
        expires: from.expires.map(|time| time.to_string()),
    }
}

fn adjustment(from: &model::Adjustment) -> wit::Adjustment {
    wit::Adjustment {
        id: from.id.clone(),
        percent: text(from.percent),
        amount: text(from.amount),
        scope: from.scope.clone(),
    }
}

fn exchange_rate(from: &model::ExchangeRate) -> wit::ExchangeRate {
    wit::ExchangeRate {
        base: from.base.clone(),
        quote: from.quote.clone(),
        rate: from.rate.to_string(),
        at: from.at.to_string(),
    }
}

fn line_in(from: &model::Line) -> wit::Line {
    wit::Line {
        key: from.key.clone(),
        kind: from.kind.clone(),
        parent: from.parent.clone(),
        title: from.title.clone(),
        need: from.need.clone(),
        dimensions: attributes_in(&from.dimensions),
        span: interval_in(from.span),
        quantity: from.quantity.to_string(),
        unit: from.unit.clone(),
        amount: from.amount.to_string(),
        tax_code: from.tax_code.clone(),
        steps: from.steps.iter().map(step_in).collect(),
        extra: attributes_in(&from.extra),
    }
}

fn step_in(from: &model::Step) -> wit::Step {
    wit::Step {
        kind: from.kind.clone(),
        rule: from.rule.clone(),
        text: from.text.clone(),
        quantity: text(from.quantity),
        low: text(from.low),
        high: text(from.high),
        unit_price: text(from.unit_price),
        amount: from.amount.to_string(),
    }
}

fn text(from: Option<Decimal>) -> Option<String> {
    from.map(|value| value.to_string())
}

/// About how many bytes an input has: the parts that can be large. Every record counts for its numbers and times.
pub(crate) fn input_bytes(input: &wit::RatingInput) -> usize {
    const RECORD: usize = 64;
    let segments: usize = input
        .segments
        .iter()
        .map(|segment| RECORD + segment.config.as_ref().map_or(0, String::len) + segment.days.len() * RECORD)
        .sum();
    let usage: usize = input
        .usage
        .iter()
        .map(|series| RECORD + attribute_bytes(&series.dimensions) + series.buckets.len() * RECORD)
        .sum();
    let line = |line: &wit::Line| {
        let steps: usize = line.steps.iter().map(|step| RECORD + step.rule.len() + step.text.len()).sum();
        RECORD + line.key.len() + line.title.len() + attribute_bytes(&line.dimensions) + steps
    };
    let billed: usize = input.billed.iter().map(line).sum();
    let others = (input.balances.len() + input.adjustments.len() + input.rates.len()) * RECORD;
    let carried = attribute_bytes(&input.carry_in) + attribute_bytes(&input.extra);
    segments + usage + billed + others + carried + input.config.len()
}

// From the guest.

/// Where in an answer something is, for the message when it cannot be read.
#[derive(Clone, Copy)]
struct At<'a> {
    list: &'static str,
    index: usize,
    step: Option<usize>,
    field: &'a str,
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.list, self.index)?;
        if let Some(step) = self.step {
            write!(f, ".steps[{step}]")?;
        }
        write!(f, ".{}", self.field)
    }
}

impl At<'_> {
    fn field<'a>(self, field: &'a str) -> At<'a> {
        At { list: self.list, index: self.index, step: self.step, field }
    }

    fn decimal(self, field: &str, text: &str) -> Result<Decimal, CallError> {
        self.read(field, text)
    }

    fn option(self, field: &str, text: Option<&String>) -> Result<Option<Decimal>, CallError> {
        text.map(|text| self.read(field, text)).transpose()
    }

    fn interval(self, from: &wit::Interval) -> Result<model::Interval, CallError> {
        Ok(model::Interval { start: self.read("span.start", &from.start)?, end: self.read("span.end", &from.end)? })
    }

    fn read<T: FromStr<Err: Display>>(self, field: &str, text: &str) -> Result<T, CallError> {
        text.parse().map_err(|error| CallError::InvalidAnswer(format!("`{}`: {error}", self.field(field))))
    }
}

/// Turns every element of a list, which is named in errors.
fn each<T, U>(
    list: &'static str,
    from: Vec<T>,
    convert: impl Fn(At<'static>, T) -> Result<U, CallError>,
) -> Result<Vec<U>, CallError> {
    let at = |index| At { list, index, step: None, field: "" };
    from.into_iter().enumerate().map(|(index, element)| convert(at(index), element)).collect()
}

pub(crate) fn output(from: wit::RatingOutput) -> Result<model::RatingOutput, CallError> {
    Ok(model::RatingOutput {
        lines: each("lines", from.lines, line)?,
        draws: each("draws", from.draws, |at, draw| {
            let amount = at.decimal("amount", &draw.amount)?;
            Ok(model::Draw { balance: draw.balance, line: draw.line, amount })
        })?,
        waived: each("waived", from.waived, |at, waiver| {
            let quantity = at.decimal("quantity", &waiver.quantity)?;
            let dimensions = attributes(waiver.dimensions);
            Ok(model::Waiver { need: waiver.need, dimensions, quantity, reason: waiver.reason })
        })?,
        carry_out: attributes(from.carry_out),
        extra: attributes(from.extra),
    })
}

fn line(at: At<'static>, from: wit::Line) -> Result<model::Line, CallError> {
    let step = |(index, from): (usize, wit::Step)| {
        let at = At { step: Some(index), ..at };
        Ok(model::Step {
            quantity: at.option("quantity", from.quantity.as_ref())?,
            low: at.option("low", from.low.as_ref())?,
            high: at.option("high", from.high.as_ref())?,
            unit_price: at.option("unit-price", from.unit_price.as_ref())?,
            amount: at.decimal("amount", &from.amount)?,
            kind: from.kind,
            rule: from.rule,
            text: from.text,
        })
    };
    Ok(model::Line {
        span: at.interval(&from.span)?,
        quantity: at.decimal("quantity", &from.quantity)?,
        amount: at.decimal("amount", &from.amount)?,
        steps: from.steps.into_iter().enumerate().map(step).collect::<Result<_, CallError>>()?,
        key: from.key,
        kind: from.kind,
        parent: from.parent,
        title: from.title,
        need: from.need,
        dimensions: attributes(from.dimensions),
        unit: from.unit,
        tax_code: from.tax_code,
        extra: attributes(from.extra),
    })
}

pub(crate) fn limits(from: Vec<wit::UsageLimit>) -> Result<Vec<model::UsageLimit>, CallError> {
    each("limits", from, |at, limit| {
        let alerts: Result<_, CallError> = limit.alerts.iter().map(|share| at.decimal("alerts", share)).collect();
        Ok(model::UsageLimit {
            maximum: at.decimal("maximum", &limit.maximum)?,
            alerts: alerts?,
            need: limit.need,
            dimensions: attributes(limit.dimensions),
            window_seconds: limit.window_seconds,
            action: limit.action,
        })
    })
}

pub(crate) fn terms(from: wit::RatingTerms) -> Result<model::RatingTerms, CallError> {
    let need = |from: wit::Need| model::Need {
        id: from.id,
        meter: from.meter,
        aggregation: aggregation(from.aggregation),
        group_by: from.group_by,
        bucketing: bucketing(&from.bucketing),
    };
    Ok(model::RatingTerms {
        currencies: from.currencies,
        rounding: math::rounding(from.rounding),
        needs: from.needs.into_iter().map(need).collect(),
    })
}

fn aggregation(from: wit::Aggregation) -> model::Aggregation {
    match from {
        wit::Aggregation::Sum => model::Aggregation::Sum,
        wit::Aggregation::Count => model::Aggregation::Count,
        wit::Aggregation::Max => model::Aggregation::Max,
        wit::Aggregation::Min => model::Aggregation::Min,
        wit::Aggregation::Last => model::Aggregation::Last,
        wit::Aggregation::Unique => model::Aggregation::Unique,
        wit::Aggregation::TimeWeighted => model::Aggregation::TimeWeighted,
        wit::Aggregation::Percentile(share) => model::Aggregation::Percentile(share),
        wit::Aggregation::Other(name) => model::Aggregation::Other(name),
    }
}

fn bucketing(from: &wit::Bucketing) -> model::Bucketing {
    match from {
        wit::Bucketing::Segment => model::Bucketing::Segment,
        wit::Bucketing::Hour => model::Bucketing::Hour,
        wit::Bucketing::Day => model::Bucketing::Day,
        wit::Bucketing::Month => model::Bucketing::Month,
        wit::Bucketing::Seconds(seconds) => model::Bucketing::Seconds(*seconds),
    }
}
