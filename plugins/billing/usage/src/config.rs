//! What things cost, as the operator wrote it. `config.schema.json` is its schema.

use std::collections::BTreeSet;

use convergence_plugin_api::billing::{Aggregation, Decimal, Rounding};
use convergence_plugin_api::{FieldError, PluginError};
use serde::Deserialize;

/// A price list.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// What bills can be in; every currency where empty.
    pub(crate) currencies: Vec<String>,
    /// How each line is rounded.
    pub(crate) rounding: Rounding,
    /// What usage costs.
    pub(crate) prices: Vec<Price>,
    /// What costs something whether or not it is used.
    pub(crate) fees: Vec<Fee>,
    /// What a period costs at least.
    pub(crate) commitment: Option<Decimal>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            currencies: Vec::new(),
            rounding: Rounding::HalfEven,
            prices: Vec::new(),
            fees: Vec::new(),
            commitment: None,
        }
    }
}

/// What the usage of one meter costs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Price {
    /// Names it in lines.
    pub(crate) id: String,
    /// For the one who pays.
    pub(crate) title: String,
    /// What is counted.
    pub(crate) meter: String,
    /// How it is counted.
    #[serde(default)]
    pub(crate) aggregation: Counted,
    /// Dimensions that get a line for each value.
    #[serde(default)]
    pub(crate) group_by: Vec<String>,
    /// The unit that is priced, where it is not the meter's.
    pub(crate) convert: Option<Convert>,
    /// Units that cost nothing, in each period.
    #[serde(default)]
    pub(crate) free: Decimal,
    /// What the others cost.
    pub(crate) model: Model,
    /// Percent off.
    #[serde(default)]
    pub(crate) discount_percent: Decimal,
    /// What a line costs at most.
    pub(crate) maximum: Option<Decimal>,
    /// What a line costs at least.
    pub(crate) minimum: Option<Decimal>,
    /// What to watch.
    pub(crate) limit: Option<Watch>,
}

/// How a meter's events become a number.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Counted {
    #[default]
    Sum,
    Count,
    Max,
    Min,
    Last,
    Unique,
    TimeWeighted,
    /// In hundredths of a percent.
    Percentile(u16),
}

impl From<Counted> for Aggregation {
    fn from(counted: Counted) -> Self {
        match counted {
            Counted::Sum => Self::Sum,
            Counted::Count => Self::Count,
            Counted::Max => Self::Max,
            Counted::Min => Self::Min,
            Counted::Last => Self::Last,
            Counted::Unique => Self::Unique,
            Counted::TimeWeighted => Self::TimeWeighted,
            Counted::Percentile(share) => Self::Percentile(share),
        }
    }
}

/// Units of the meter into units that are priced: byte-seconds into GiB-hours.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Convert {
    /// How many of the meter's units are one that is priced.
    pub(crate) divide_by: Decimal,
    /// What is priced.
    pub(crate) unit: String,
    /// Digits after the point that are kept, rounded to the nearest, of two to the even.
    #[serde(default = "six")]
    pub(crate) scale: u8,
}

fn six() -> u8 {
    6
}

/// What units cost, after the free ones.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Model {
    /// Each the same.
    PerUnit(Decimal),
    /// Each what its tier says: the first ones this, the next ones that.
    Graduated(Vec<Tier>),
    /// All what the tier of their number says.
    Volume(Vec<Tier>),
    /// Begun packages.
    Package(Package),
    /// Percent of a sum of money, which is what the meter counts.
    Percent(Decimal),
}

/// From the end of the tier before up to and with `up_to`, however finely units are counted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Tier {
    /// The last tier has none.
    pub(crate) up_to: Option<Decimal>,
    /// For each unit in it.
    #[serde(default)]
    pub(crate) price: Decimal,
    /// Once, where any unit is in it.
    #[serde(default)]
    pub(crate) flat: Decimal,
}

/// A number of units that is sold as one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Package {
    /// How many units.
    pub(crate) size: Decimal,
    /// For all of them.
    pub(crate) price: Decimal,
}

/// What costs something whether or not it is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Fee {
    /// Names it in lines.
    pub(crate) id: String,
    /// For the one who pays.
    pub(crate) title: String,
    /// For a whole period.
    pub(crate) amount: Decimal,
    /// Whether it is for each seat.
    #[serde(default)]
    pub(crate) per_seat: bool,
    /// Whether a plan that changes within the period pays its part of it, by the second.
    #[serde(default)]
    pub(crate) prorate: bool,
}

/// What to watch between invoices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watch {
    /// How many of the meter's units are allowed in a period.
    pub(crate) maximum: Decimal,
    /// `block`, `throttle` or `warn`.
    pub(crate) action: String,
    /// Shares of it at which somebody is told.
    #[serde(default)]
    pub(crate) alerts: Vec<Decimal>,
}

impl Config {
    /// What a schema cannot say.
    ///
    /// # Errors
    ///
    /// Invalid configuration that names each thing that makes no sense.
    pub(crate) fn check(&self) -> Result<(), PluginError> {
        let mut errors = Vec::new();
        let mut ids = BTreeSet::new();
        for (index, price) in self.prices.iter().enumerate() {
            let at = format!("prices[{index}]");
            if !ids.insert(&price.id) {
                errors.push(FieldError::new(&format!("{at}.id"), format!("`{}` is used twice", price.id)));
            }
            price.check(&at, &mut errors);
        }
        for (index, fee) in self.fees.iter().enumerate() {
            if !ids.insert(&fee.id) {
                errors.push(FieldError::new(&format!("fees[{index}].id"), format!("`{}` is used twice", fee.id)));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(PluginError::InvalidConfig(errors)) }
    }
}

impl Price {
    fn check(&self, at: &str, errors: &mut Vec<FieldError>) {
        let mut wrong = |field: &str, message: &str| errors.push(FieldError::new(&format!("{at}.{field}"), message));
        if self.convert.as_ref().is_some_and(|convert| convert.divide_by <= Decimal::ZERO || convert.scale > 12) {
            wrong("convert", "it divides by a number above 0, to at most 12 digits after the point");
        }
        if self.minimum.zip(self.maximum).is_some_and(|(minimum, maximum)| maximum < minimum) {
            wrong("minimum", "the minimum is above the maximum");
        }
        match &self.model {
            Model::Graduated(tiers) | Model::Volume(tiers) => {
                let bounds: Vec<Option<Decimal>> = tiers.iter().map(|tier| tier.up_to).collect();
                let rising = bounds.windows(2).all(|pair| match pair {
                    [Some(low), Some(high)] => low < high,
                    [Some(_), None] => true,
                    _ => false,
                });
                let open = bounds.last().is_some_and(Option::is_none);
                let positive = bounds.first().is_some_and(|first| first.is_none_or(|first| first > Decimal::ZERO));
                if !(rising && open && positive && tiers.len() <= 20) {
                    wrong("model", "tiers are 1 to 20, with rising bounds above 0, and the last one has no `upTo`");
                }
            }
            Model::Package(package) if package.size <= Decimal::ZERO => {
                wrong("model", "a package holds more than 0 units");
            }
            _ => {}
        }
    }
}
