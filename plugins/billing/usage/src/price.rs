//! From a number of units to the steps that say what they cost: convert, free units, price, discounts, maximum,
//! minimum, in this order.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::billing::{Decimal, Rounding, Step};

use crate::config::{Model, Price, Tier};
use crate::coupon::Coupons;

/// Steps and what they come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    pub(crate) steps: Vec<Step>,
    pub(crate) amount: Decimal,
}

impl Steps {
    pub(crate) fn push(&mut self, step: Step) -> Result<(), PluginError> {
        self.amount = self.amount.checked_add(step.total()?)?;
        self.steps.push(step);
        Ok(())
    }

    /// Takes the same away again.
    pub(crate) fn take_back(&mut self, others: Self) -> Result<(), PluginError> {
        for mut step in others.steps {
            let negated = |text: String| Ok::<_, PluginError>(text.parse::<Decimal>()?.negated().to_string());
            step.amount = negated(step.amount)?;
            step.quantity = step.quantity.map(negated).transpose()?;
            step.text = format!("less, invoiced before: {}", step.text);
            self.push(step)?;
        }
        Ok(())
    }
}

/// What `units` of the meter cost, from the first one of the period; `prepaid` of them are paid for already. `rule` is
/// where the price is in the configuration.
pub(crate) fn cost(
    price: &Price,
    rule: &str,
    units: Decimal,
    prepaid: Decimal,
    coupons: &mut Coupons<'_>,
) -> Result<Steps, PluginError> {
    let mut steps = Steps::default();
    let mut priced = units.checked_sub(prepaid)?;
    if let Some(convert) = &price.convert {
        priced = priced.checked_div(convert.divide_by, convert.scale, Rounding::HalfEven)?;
        let text = format!("{priced} {}", convert.unit);
        steps.push(Step::new("convert", &format!("{rule}.convert"), text, Decimal::ZERO))?;
    }
    let free = price.free.min(priced).max(Decimal::ZERO);
    if !free.is_zero() {
        steps.push(Step::priced("free", &format!("{rule}.free"), "included", free, Decimal::ZERO)?)?;
        priced = priced.checked_sub(free)?;
    }
    model(&price.model, &format!("{rule}.model"), priced, &mut steps)?;
    if !price.discount_percent.is_zero() {
        let text = format!("{} % off", price.discount_percent);
        let off = percent_of(steps.amount, price.discount_percent)?;
        steps.push(Step::new("discount", &format!("{rule}.discountPercent"), text, off.negated()))?;
    }
    coupons.apply(Some(&price.id), &mut steps)?;
    if let Some(maximum) = price.maximum.filter(|maximum| steps.amount > *maximum) {
        let text = format!("at most {maximum}");
        steps.push(Step::new("cap", &format!("{rule}.maximum"), text, maximum.checked_sub(steps.amount)?))?;
    }
    if let Some(minimum) = price.minimum.filter(|minimum| steps.amount < *minimum) {
        let text = format!("at least {minimum}");
        steps.push(Step::new("minimum", &format!("{rule}.minimum"), text, minimum.checked_sub(steps.amount)?))?;
    }
    Ok(steps)
}

fn model(model: &Model, rule: &str, units: Decimal, steps: &mut Steps) -> Result<(), PluginError> {
    if units.is_zero() {
        return Ok(());
    }
    match model {
        Model::PerUnit(price) => {
            steps.push(Step::priced("unit", rule, format!("{units} for {price} each"), units, *price)?)
        }
        Model::Graduated(tiers) => graduated(tiers, rule, units, steps),
        Model::Volume(tiers) => volume(tiers, rule, units, steps),
        Model::Package(package) => {
            let count = units.checked_div(package.size, 0, Rounding::Up)?;
            let text = format!("{count} packages of {}", package.size);
            steps.push(Step::priced("block", rule, text, count, package.price)?)
        }
        Model::Percent(percent) => {
            let share = percent.checked_div(Decimal::from(100_u32), 18, Rounding::HalfEven)?;
            steps.push(Step::priced("percent", rule, format!("{percent} % of {units}"), units, share)?)
        }
    }
}

/// A tier ends where the next one begins: a unit between two whole numbers is in one of them.
fn graduated(tiers: &[Tier], rule: &str, units: Decimal, steps: &mut Steps) -> Result<(), PluginError> {
    let mut low = Decimal::ZERO;
    for (index, tier) in tiers.iter().enumerate() {
        if units <= low {
            break;
        }
        let end = tier.up_to.map_or(units, |bound| bound.min(units));
        let rule = format!("{rule}.graduated[{index}]");
        let inside = end.checked_sub(low)?;
        let text = format!("{inside} for {} each", tier.price);
        steps.push(Step::priced("tier", &rule, text, inside, tier.price)?.between(low, tier.up_to))?;
        flat(tier, &rule, steps)?;
        low = end;
    }
    Ok(())
}

fn volume(tiers: &[Tier], rule: &str, units: Decimal, steps: &mut Steps) -> Result<(), PluginError> {
    let holds = |tier: &&Tier| tier.up_to.is_none_or(|bound| units <= bound);
    let mut low = Decimal::ZERO;
    for (index, tier) in tiers.iter().enumerate() {
        if holds(&tier) {
            let rule = format!("{rule}.volume[{index}]");
            let text = format!("{units} for {} each", tier.price);
            steps.push(Step::priced("volume", &rule, text, units, tier.price)?.between(low, tier.up_to))?;
            return flat(tier, &rule, steps);
        }
        low = tier.up_to.unwrap_or(low);
    }
    Err(PluginError::internal("the last tier ends; the configuration was not checked"))
}

fn flat(tier: &Tier, rule: &str, steps: &mut Steps) -> Result<(), PluginError> {
    if tier.flat.is_zero() {
        return Ok(());
    }
    steps.push(Step::new("flat", rule, "for the tier", tier.flat))
}

/// Percent of an amount, to 12 digits after the point.
pub(crate) fn percent_of(amount: Decimal, percent: Decimal) -> Result<Decimal, PluginError> {
    let amount = amount.rounded(12, Rounding::HalfEven)?;
    Ok(amount.checked_mul(percent)?.checked_div(Decimal::from(100_u32), 12, Rounding::HalfEven)?)
}
