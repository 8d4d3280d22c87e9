//! Billing policies: what usage costs.
//!
//! Amounts are [`Decimal`]s from the first to the last: read from the records' text, calculated exactly, and written
//! back. [`Line`] and [`Step`] add themselves up, so that what the host checks holds by construction.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::billing::convergence::billing::billing_types;
pub use crate::bindings::billing::convergence::billing::billing_types::{
    Adjustment, Aggregation, Balance, Bucket, Bucketing, Draw, ExchangeRate, Interval, Line, LocalDay, Need,
    RatingInput, RatingOutput, RatingTerms, Segment, Series, Step, UsageLimit, Waiver,
};
use crate::bindings::billing::exports::convergence::billing::rater;
use crate::bindings::described::exports::convergence::plugin::metadata;
pub use crate::decimal::{Decimal, MathError, NotADecimal, Rounding};
use crate::{Attribute, Description, PluginError};

/// The host's own arithmetic, as languages without decimals use it. [`Decimal`] is the same arithmetic, compiled into
/// the component: exact as well, and without the way to the host.
#[cfg(target_arch = "wasm32")]
pub use crate::bindings::billing::convergence::host::math as host_math;

/// A billing policy. Make a component of it with [`register_billing!`](crate::register_billing).
///
/// Functions have no `self`: every call runs in a fresh instance, so there is nothing to remember.
pub trait BillingPolicy {
    /// The configuration, read from its JSON before every call; [`NoConfig`](crate::NoConfig) where there is none.
    type Config: DeserializeOwned;

    /// Says what the policy is. Always the same.
    fn describe() -> Description;

    /// What this configuration needs and allows.
    ///
    /// # Errors
    ///
    /// A configuration that passes its schema and still makes no sense.
    fn terms(config: &Self::Config) -> Result<RatingTerms, PluginError>;

    /// Rates a period. `config` is the one at its end; a [`Segment`] may have [another](Segment::config_or).
    ///
    /// # Errors
    ///
    /// Any error leaves the invoice a draft: nothing is billed.
    fn rate(input: &RatingInput, config: &Self::Config) -> Result<RatingOutput, PluginError>;

    /// What the host is to watch between invoices; nothing unless said otherwise.
    ///
    /// # Errors
    ///
    /// As for [`Self::rate`].
    fn limits(_input: &RatingInput, _config: &Self::Config) -> Result<Vec<UsageLimit>, PluginError> {
        Ok(Vec::new())
    }
}

/// What the host hands over and is no decimal cannot be.
impl From<NotADecimal> for PluginError {
    fn from(error: NotADecimal) -> Self {
        Self::internal(error.to_string())
    }
}

/// Numbers that outgrow 28 digits are a mistake in the configuration or the policy, and never a bill.
impl From<MathError> for PluginError {
    fn from(error: MathError) -> Self {
        Self::internal(error.to_string())
    }
}

impl RatingTerms {
    /// Needs nothing and can be billed in every currency.
    pub fn new(rounding: Rounding) -> Self {
        use crate::bindings::billing::convergence::host::math;
        let rounding = match rounding {
            Rounding::HalfEven => math::Rounding::HalfEven,
            Rounding::HalfUp => math::Rounding::HalfUp,
            Rounding::Down => math::Rounding::Down,
            Rounding::Up => math::Rounding::Up,
        };
        Self { currencies: Vec::new(), rounding, needs: Vec::new() }
    }

    /// Can be billed in this currency, and in others only if they are named as well.
    #[must_use]
    pub fn currency(mut self, code: &str) -> Self {
        self.currencies.push(code.to_owned());
        self
    }

    /// Needs this, too.
    #[must_use]
    pub fn need(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }
}

impl Need {
    /// One series over everything, divided by segments only.
    pub fn new(id: &str, meter: &str, aggregation: Aggregation) -> Self {
        Self {
            id: id.to_owned(),
            meter: meter.to_owned(),
            aggregation,
            group_by: Vec::new(),
            bucketing: Bucketing::Segment,
        }
    }

    /// A series for each combination of values of these dimensions.
    #[must_use]
    pub fn group_by<S: AsRef<str>>(mut self, dimensions: impl IntoIterator<Item = S>) -> Self {
        self.group_by = dimensions.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self
    }

    /// Divided into these stretches.
    #[must_use]
    pub fn bucketing(mut self, bucketing: Bucketing) -> Self {
        self.bucketing = bucketing;
        self
    }
}

impl RatingInput {
    /// The series of a need, in order of their dimensions.
    pub fn series<'a>(&'a self, need: &'a str) -> impl Iterator<Item = &'a Series> {
        self.usage.iter().filter(move |series| series.need == need)
    }
}

impl Segment {
    /// The configuration during the segment: its own, or the one at the end of the period.
    ///
    /// # Errors
    ///
    /// Invalid configuration, where its own does not fit.
    pub fn config_or<C: DeserializeOwned + Clone>(&self, config: &C) -> Result<C, PluginError> {
        match &self.config {
            Some(own) => crate::config::parse(own),
            None => Ok(config.clone()),
        }
    }
}

impl Series {
    /// Over the whole period so far.
    ///
    /// # Errors
    ///
    /// None that a host gives cause for.
    pub fn total(&self) -> Result<Decimal, PluginError> {
        Ok(self.quantity.parse()?)
    }

    /// What earlier invoices of the period have billed or waived.
    ///
    /// # Errors
    ///
    /// None that a host gives cause for.
    pub fn invoiced(&self) -> Result<Decimal, PluginError> {
        Ok(self.already_invoiced.parse()?)
    }

    /// What is to be billed or waived now: the difference.
    ///
    /// # Errors
    ///
    /// None that a host gives cause for.
    pub fn open(&self) -> Result<Decimal, PluginError> {
        Ok(self.total()?.checked_sub(self.invoiced()?)?)
    }
}

impl Line {
    /// A line that bills `quantity` units of a series. It costs nothing until it has steps.
    pub fn usage(key: &str, title: &str, series: &Series, span: &Interval, quantity: Decimal) -> Self {
        Self {
            need: Some(series.need.clone()),
            dimensions: series.dimensions.clone(),
            unit: series.unit.clone(),
            quantity: quantity.to_string(),
            ..Self::fixed("usage", key, title, span)
        }
    }

    /// A line of another kind (`recurring`, `one-off`, `minimum`, `discount`), once. It costs nothing until it has steps.
    pub fn fixed(kind: &str, key: &str, title: &str, span: &Interval) -> Self {
        Self {
            key: key.to_owned(),
            kind: kind.to_owned(),
            parent: None,
            title: title.to_owned(),
            need: None,
            dimensions: Vec::new(),
            span: span.clone(),
            quantity: "1".to_owned(),
            unit: String::new(),
            amount: "0".to_owned(),
            tax_code: None,
            steps: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// Adds a step, and its amount to the line's.
    ///
    /// # Errors
    ///
    /// A sum of too many digits.
    pub fn push(&mut self, step: Step) -> Result<(), PluginError> {
        self.amount = self.total()?.checked_add(step.total()?)?.to_string();
        self.steps.push(step);
        Ok(())
    }

    /// What the line costs so far.
    ///
    /// # Errors
    ///
    /// An amount that was written by hand and is no decimal.
    pub fn total(&self) -> Result<Decimal, PluginError> {
        Ok(self.amount.parse()?)
    }
}

impl Step {
    /// An amount, positive or negative. `rule` is the place in the configuration that says so.
    pub fn new(kind: &str, rule: &str, text: impl Into<String>, amount: Decimal) -> Self {
        Self {
            kind: kind.to_owned(),
            rule: rule.to_owned(),
            text: text.into(),
            quantity: None,
            low: None,
            high: None,
            unit_price: None,
            amount: amount.to_string(),
        }
    }

    /// `quantity` units for `price` each.
    ///
    /// # Errors
    ///
    /// A product of too many digits.
    pub fn priced(
        kind: &str,
        rule: &str,
        text: impl Into<String>,
        quantity: Decimal,
        price: Decimal,
    ) -> Result<Self, PluginError> {
        let mut step = Self::new(kind, rule, text, quantity.checked_mul(price)?);
        step.quantity = Some(quantity.to_string());
        step.unit_price = Some(price.to_string());
        Ok(step)
    }

    /// Says from where to where in the period's quantity the units of a tier are; no end for the last tier.
    #[must_use]
    pub fn between(mut self, low: Decimal, high: Option<Decimal>) -> Self {
        self.low = Some(low.to_string());
        self.high = high.map(|high| high.to_string());
        self
    }

    /// The amount.
    ///
    /// # Errors
    ///
    /// An amount that was written by hand and is no decimal.
    pub fn total(&self) -> Result<Decimal, PluginError> {
        Ok(self.amount.parse()?)
    }
}

impl RatingOutput {
    /// No lines, nothing drawn, nothing waived.
    pub fn empty() -> Self {
        Self { lines: Vec::new(), draws: Vec::new(), waived: Vec::new(), carry_out: Vec::new(), extra: Vec::new() }
    }
}

impl Waiver {
    /// Leaves units of a series unbilled.
    pub fn new(series: &Series, quantity: Decimal, reason: &str) -> Self {
        Self {
            need: series.need.clone(),
            dimensions: series.dimensions.clone(),
            quantity: quantity.to_string(),
            reason: reason.to_owned(),
        }
    }
}

impl UsageLimit {
    /// At most `maximum` units of a need over the whole period. `action` is `block`, `throttle` or `warn`.
    pub fn new(need: &str, maximum: Decimal, action: &str) -> Self {
        let dimensions: Vec<Attribute> = Vec::new();
        Self {
            need: need.to_owned(),
            dimensions,
            window_seconds: 0,
            maximum: maximum.to_string(),
            alerts: Vec::new(),
            action: action.to_owned(),
        }
    }
}

/// Joins a [`BillingPolicy`] to the component's exports.
#[doc(hidden)]
#[derive(Debug)]
pub struct Export<P>(PhantomData<P>);

impl<P: BillingPolicy> metadata::Guest for Export<P> {
    fn describe() -> Description {
        crate::panic::report_to_host();
        P::describe()
    }
}

impl<P: BillingPolicy> rater::Guest for Export<P> {
    fn terms(config: String) -> Result<billing_types::RatingTerms, PluginError> {
        crate::panic::report_to_host();
        P::terms(&crate::config::parse(&config)?)
    }

    fn rate(input: RatingInput) -> Result<RatingOutput, PluginError> {
        crate::panic::report_to_host();
        P::rate(&input, &crate::config::parse(&input.config)?)
    }

    fn limits(input: RatingInput) -> Result<Vec<UsageLimit>, PluginError> {
        crate::panic::report_to_host();
        P::limits(&input, &crate::config::parse(&input.config)?)
    }
}

/// Makes a component of a type that implements [`BillingPolicy`]: once in a crate, at its root.
#[macro_export]
macro_rules! register_billing {
    ($policy:ty) => {
        #[allow(dead_code, missing_docs, unsafe_code, unreachable_pub)]
        const _: () = {
            type ConvergenceExport = $crate::__private::BillingExport<$policy>;
            const fn is_a_billing_policy<P: $crate::billing::BillingPolicy>() {}
            is_a_billing_policy::<$policy>();
            // Exports have names that only WebAssembly linkers take.
            #[cfg(target_arch = "wasm32")]
            use $crate::__private::{billing, described};
            #[cfg(target_arch = "wasm32")]
    $crate::__private::described::export_described!(ConvergenceExport with_types_in described);
            #[cfg(target_arch = "wasm32")]
    $crate::__private::billing::export_billing!(ConvergenceExport with_types_in billing);
        };
    };
}
