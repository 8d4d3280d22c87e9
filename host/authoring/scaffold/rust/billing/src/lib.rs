//! The billing policy `{{name}}`: what usage costs.
//!
//! As it was made each unit of one meter has one price. Change `Config`, `terms` and `rate` into
//! your own prices; `wit/billing/billing.wit` says what a policy is given, and what the host checks
//! of its answer. Quantities and money are `Decimal`s, which are exact.

use convergence_plugin_api::billing::{
    Aggregation, BillingPolicy, Decimal, Line, Need, RatingInput, RatingOutput, RatingTerms,
    Rounding, Step,
};
use convergence_plugin_api::{Description, Example, PluginError, register_billing};
use serde::Deserialize;

/// Names what is measured, in `terms` and in lines.
const NEED: &str = "usage";

/// What the operator may set; `config.schema.json` describes it to them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    #[serde(default = "default_meter")]
    meter: String,
    #[serde(default = "default_price")]
    unit_price: Decimal,
}

fn default_meter() -> String {
    "api.requests".to_owned()
}

fn default_price() -> Decimal {
    "0.01".parse().expect("it is a decimal")
}

struct Plugin;

impl BillingPolicy for Plugin {
    type Config = Config;

    fn describe() -> Description {
        Description::billing(
            "{{name}}",
            "{{name}}",
            env!("CARGO_PKG_VERSION"),
            "Bills each unit of a meter at one price.",
        )
        .config_schema(include_str!("../config.schema.json"))
        .example(Example::from_case(include_str!("../cases/usage.json")))
    }

    fn terms(config: &Config) -> Result<RatingTerms, PluginError> {
        let need = Need::new(NEED, &config.meter, Aggregation::Sum);
        Ok(RatingTerms::new(Rounding::HalfEven).need(need))
    }

    fn rate(input: &RatingInput, config: &Config) -> Result<RatingOutput, PluginError> {
        let mut output = RatingOutput::empty();
        for series in input.series(NEED) {
            let (open, price) = (series.open()?, config.unit_price);
            if open.is_zero() {
                continue;
            }
            let mut line = Line::usage("usage", &series.meter, series, &input.period, open);
            if open.is_negative() {
                // Less was used than an earlier invoice said: the difference is given back.
                line.kind = "correction".to_owned();
            }
            let text = format!("{open} at {price} {}", input.currency);
            line.push(Step::priced("unit", "unitPrice", text, open, price)?)?;
            output.lines.push(line);
        }
        Ok(output)
    }
}

register_billing!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_means_the_default_price() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(
            (config.meter.as_str(), config.unit_price),
            ("api.requests", default_price())
        );
    }
}
