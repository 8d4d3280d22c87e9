//! The validation policy `{{name}}`: whether a change to a tenant may happen.
//!
//! As it was made it keeps some names back. Change `Config` and `evaluate` into your own rule;
//! `wit/policy/policy.wit` says what a policy sees and what it may answer.

use convergence_plugin_api::policy::{Policy, Review, Verdict, Violation};
use convergence_plugin_api::{Description, Example, PluginError, register_policy};
use serde::Deserialize;

/// What the operator may set; `config.schema.json` describes it to them.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    reserved: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reserved: ["admin", "root", "www"].map(str::to_owned).to_vec(),
        }
    }
}

struct Plugin;

impl Policy for Plugin {
    type Config = Config;

    fn describe() -> Description {
        Description::policy(
            "{{name}}",
            "{{name}}",
            env!("CARGO_PKG_VERSION"),
            "Keeps some names of tenants back.",
        )
        .config_schema(include_str!("../config.schema.json"))
        .example(Example::from_case(include_str!("../cases/reserved.json")))
    }

    fn evaluate(review: &Review, config: &Config) -> Result<Verdict, PluginError> {
        let mut verdict = Verdict::pass();
        // A tenant that has such a name already can still be stopped and destroyed.
        if review.action == "spawn" && config.reserved.contains(&review.tenant_name) {
            verdict.violations.push(Violation::deny(
                "name",
                "name-reserved",
                format!(
                    "`{}` is kept back here; choose another name",
                    review.tenant_name
                ),
            ));
        }
        Ok(verdict)
    }
}

register_policy!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_set_means_the_default_names() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(config.reserved, ["admin", "root", "www"]);
    }
}
