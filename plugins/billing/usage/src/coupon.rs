//! Coupons: percentages first, then amounts, which are used up line by line.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::billing::{Adjustment, Decimal, Step};

use crate::price::{Steps, percent_of};

/// The coupons of a period, and what is left of them.
#[derive(Debug)]
pub(crate) struct Coupons<'a> {
    list: Vec<(&'a Adjustment, Value)>,
}

#[derive(Clone, Copy, Debug)]
enum Value {
    Percent(Decimal),
    Left(Decimal),
}

impl<'a> Coupons<'a> {
    pub(crate) fn new(adjustments: &'a [Adjustment]) -> Result<Self, PluginError> {
        let mut list = Vec::new();
        for adjustment in adjustments {
            match (&adjustment.percent, &adjustment.amount) {
                (Some(percent), _) => list.push((adjustment, Value::Percent(percent.parse()?))),
                (None, Some(amount)) => list.push((adjustment, Value::Left(amount.parse()?))),
                (None, None) => {}
            }
        }
        // Percentages first: they are of what things cost, not of what is left to pay.
        list.sort_by_key(|(_, value)| matches!(value, Value::Left(_)));
        Ok(Self { list })
    }

    /// The same coupons without amounts, for what was invoiced before: an amount is taken off once.
    pub(crate) fn percentages(&self) -> Self {
        Self { list: self.list.iter().filter(|(_, value)| matches!(value, Value::Percent(_))).copied().collect() }
    }

    /// Takes off what applies to a need, or to what has none.
    pub(crate) fn apply(&mut self, need: Option<&str>, steps: &mut Steps) -> Result<(), PluginError> {
        for (adjustment, value) in &mut self.list {
            let scope = &adjustment.scope;
            if !scope.is_empty() && !need.is_some_and(|need| scope.iter().any(|id| id == need)) {
                continue;
            }
            let off = match value {
                Value::Percent(percent) => percent_of(steps.amount, *percent)?,
                Value::Left(left) => {
                    let off = steps.amount.min(*left).max(Decimal::ZERO);
                    *left = left.checked_sub(off)?;
                    off
                }
            };
            if !off.is_zero() {
                steps.push(Step::new(
                    "discount",
                    &adjustment.id,
                    format!("coupon {}", adjustment.id),
                    off.negated(),
                ))?;
            }
        }
        Ok(())
    }
}
