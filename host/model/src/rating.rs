//! Rating: what a billing policy is given and what it answers, field by field as `wit/billing` says.
//!
//! As JSON these are what the cases of a plugin hold: names in lowerCamelCase, absent where empty or none.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decimal::{Decimal, Rounding};
use crate::plan::Attribute;

/// A stretch of time that holds its start and not its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Interval {
    /// The first moment in it.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

impl Interval {
    /// Whether it has a length at all.
    #[must_use]
    pub fn is_forward(self) -> bool {
        self.start < self.end
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

/// A calendar day of the subscription's timezone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalDay {
    /// `2026-01-31`.
    pub date: String,
    /// The whole day.
    pub span: Interval,
}

/// How the events of a meter become one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregation {
    /// Their sum.
    Sum,
    /// How many there are.
    Count,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The last one's value.
    Last,
    /// How many different values.
    Unique,
    /// Value times seconds.
    TimeWeighted,
    /// In hundredths of a percent.
    Percentile(u16),
    /// One this host does not know.
    Other(String),
}

impl Aggregation {
    /// Whether the parts of a period add up to the whole.
    #[must_use]
    pub fn is_additive(&self) -> bool {
        matches!(self, Self::Sum | Self::Count | Self::TimeWeighted)
    }
}

/// Into which stretches usage is divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bucketing {
    /// One for each segment.
    Segment,
    /// Hours of UTC.
    Hour,
    /// Days of the subscription's timezone.
    Day,
    /// Months of the subscription's timezone.
    Month,
    /// That many seconds from the start of the period.
    Seconds(u32),
}

/// What the host must compute before `rate` is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Need {
    /// Names it in usage, lines and waivers.
    pub id: String,
    /// The meter.
    pub meter: String,
    /// How its events become a number.
    pub aggregation: Aggregation,
    /// Names of dimensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_by: Vec<String>,
    /// How each series is divided.
    pub bucketing: Bucketing,
}

/// What a configuration needs and allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatingTerms {
    /// Currencies it can be billed in; empty for every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<String>,
    /// How each line is rounded.
    pub rounding: Rounding,
    /// What must be computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

/// Usage in a stretch of the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// When.
    pub span: Interval,
    /// How much.
    pub quantity: Decimal,
}

/// The answer to a need for one combination of dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Series {
    /// The need's id.
    pub need: String,
    /// The need's meter.
    pub meter: String,
    /// The meter's unit.
    pub unit: String,
    /// One value for each name of the need's `group_by`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<Attribute>,
    /// Over the whole period so far.
    pub quantity: Decimal,
    /// Of that, what earlier invoices of this period have billed or waived.
    pub already_invoiced: Decimal,
    /// Stretches with usage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<Bucket>,
}

/// Something paid for earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Balance {
    /// Names it in draws.
    pub id: String,
    /// `prepaid`, `promotional`, …
    pub kind: String,
    /// A currency, or the unit of a meter.
    pub unit: String,
    /// What is left.
    pub available: Decimal,
    /// When the rest is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A coupon or an agreed change of price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Adjustment {
    /// Names it in steps.
    pub id: String,
    /// Percent to take off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Decimal>,
    /// Money to take off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Decimal>,
    /// Needs that it applies to; empty for everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
}

/// A stretch of the period without a change of plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Segment {
    /// When.
    pub span: Interval,
    /// The configuration during it, where it was another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// How many seats were paid for.
    pub seats: Decimal,
    /// The calendar days that it touches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<LocalDay>,
}

/// What one unit of a currency was worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeRate {
    /// The currency of which there is one unit.
    pub base: String,
    /// The currency of the rate.
    pub quote: String,
    /// Units of `quote` for one of `base`.
    pub rate: Decimal,
    /// When.
    pub at: Timestamp,
}

/// One step of the arithmetic behind a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// One of [`STEP_KINDS`].
    pub kind: String,
    /// What made this step.
    pub rule: String,
    /// For the one who pays.
    pub text: String,
    /// How many units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Decimal>,
    /// From where in the period's quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<Decimal>,
    /// Up to where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<Decimal>,
    /// Money for one unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Decimal>,
    /// Money.
    pub amount: Decimal,
}

/// What a step may be.
pub const STEP_KINDS: [&str; 13] = [
    "unit",
    "tier",
    "volume",
    "block",
    "percent",
    "flat",
    "free",
    "proration",
    "cap",
    "minimum",
    "discount",
    "credit",
    "convert",
];

/// What a line may be.
pub const LINE_KINDS: [&str; 6] = ["usage", "recurring", "one-off", "minimum", "discount", "correction"];

/// What happens at a limit.
pub const LIMIT_ACTIONS: [&str; 3] = ["block", "throttle", "warn"];

/// One line of an invoice, not yet rounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    /// Unique in an answer.
    pub key: String,
    /// One of [`LINE_KINDS`].
    pub kind: String,
    /// The key of the line it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// For the one who pays.
    pub title: String,
    /// The need whose units it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<String>,
    /// Those of the series that it bills.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<Attribute>,
    /// What it is for.
    pub span: Interval,
    /// How many units.
    pub quantity: Decimal,
    /// Of what.
    pub unit: String,
    /// Money, exact.
    pub amount: Decimal,
    /// How it is taxed; none for the usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<String>,
    /// The arithmetic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// For later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Attribute>,
}

/// What is to be rated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatingInput {
    /// Whose bill it is.
    pub organization: String,
    /// Which subscription of it.
    pub subscription: String,
    /// ISO 4217.
    pub currency: String,
    /// Digits after the point of its minor unit.
    pub minor_digits: u8,
    /// IANA name.
    pub timezone: String,
    /// What is rated.
    pub period: Interval,
    /// Usage is known up to here.
    pub as_of: Timestamp,
    /// At least one.
    pub segments: Vec<Segment>,
    /// The answers to the needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Series>,
    /// Lines of earlier invoices of this period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub billed: Vec<Line>,
    /// What was paid for earlier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub balances: Vec<Balance>,
    /// Coupons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
    /// What currencies were worth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<ExchangeRate>,
    /// What the period before left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carry_in: Vec<Attribute>,
    /// The plugin's configuration at the end of the period: a JSON object.
    #[serde(default = "empty_object")]
    pub config: String,
    /// For later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Attribute>,
}

fn empty_object() -> String {
    "{}".to_owned()
}

impl RatingInput {
    /// Sorts every list whose order has no meaning, so that the same facts are the same bytes.
    pub fn sort(&mut self) {
        self.segments.sort_by_key(|segment| segment.span);
        for segment in &mut self.segments {
            segment.days.sort_by_key(|day| day.span);
        }
        for series in &mut self.usage {
            series.buckets.sort_by_key(|bucket| bucket.span);
        }
        self.usage.sort_by(|a, b| (&a.need, values(&a.dimensions)).cmp(&(&b.need, values(&b.dimensions))));
        self.billed.sort_by(|a, b| a.key.cmp(&b.key));
        // What never expires is used up last.
        let expiry = |balance: &Balance| (balance.expires.is_none(), balance.expires);
        self.balances.sort_by(|a, b| expiry(a).cmp(&expiry(b)).then_with(|| a.id.cmp(&b.id)));
        self.adjustments.sort_by(|a, b| a.id.cmp(&b.id));
        for adjustment in &mut self.adjustments {
            adjustment.scope.sort();
        }
        self.rates.sort_by(|a, b| (&a.base, &a.quote, a.at).cmp(&(&b.base, &b.quote, b.at)));
        self.carry_in.sort_by(|a, b| a.key.cmp(&b.key));
        self.extra.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

fn values(dimensions: &[Attribute]) -> Vec<(&str, &str)> {
    dimensions.iter().map(|dimension| (dimension.key.as_str(), dimension.value.as_str())).collect()
}

/// Uses up a balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Draw {
    /// The balance's id.
    pub balance: String,
    /// The key of the line that it pays for.
    pub line: String,
    /// How much.
    pub amount: Decimal,
}

/// Units that are deliberately not billed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waiver {
    /// The need's id.
    pub need: String,
    /// Those of the series.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<Attribute>,
    /// How many units.
    pub quantity: Decimal,
    /// For the operator.
    pub reason: String,
}

/// The answer of a billing policy, as it gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RatingOutput {
    /// What is billed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
    /// What is used up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draws: Vec<Draw>,
    /// What is not billed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Waiver>,
    /// For the next period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carry_out: Vec<Attribute>,
    /// For later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Attribute>,
}

/// What the host watches between invoices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsageLimit {
    /// The need whose units are counted.
    pub need: String,
    /// Values that must match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimensions: Vec<Attribute>,
    /// Over how many seconds back; 0 for the whole period.
    pub window_seconds: u32,
    /// How much is allowed.
    pub maximum: Decimal,
    /// Shares of it at which somebody is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Decimal>,
    /// One of [`LIMIT_ACTIONS`].
    pub action: String,
}
