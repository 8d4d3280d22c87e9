//! A tenant's spec as clients write it, checked field by field so that one answer names everything wrong.

use std::collections::BTreeMap;

use convergence_model::{EnvName, Limits, TenantName, TenantSpec, Violation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the tenant should be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"name": "my-app", "language": "node", "framework": "express"}))]
pub(crate) struct SpecBody {
    /// 1 to 100 letters, digits, spaces, `.`, `_` and `-`, not digits only; unique in the organization without regard to case.
    name: String,
    /// A language that `GET /api/v1/templates` lists.
    language: String,
    /// A framework of that language; its first one where absent.
    framework: Option<String>,
    /// For people, at most 1000 characters.
    description: Option<String>,
    /// Runs on this image instead of the template's; must be on the operator's allowlist.
    base_image: Option<String>,
    /// How much of a machine it may use.
    limits: Option<LimitsBody>,
    /// Variables of its own, set literally: nothing expands `$`.
    env: Option<BTreeMap<String, String>>,
}

/// How much of a machine a tenant may use. What is absent is the server's default.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitsBody {
    /// Cores, for example 0.5.
    cpu: Option<f64>,
    /// MiB of memory.
    memory_mb: Option<u32>,
    /// MiB on disk.
    disk_mb: Option<u32>,
}

impl SpecBody {
    /// The spec, with `defaults` where limits are absent; or everything that is wrong with it.
    pub(crate) fn check(self, defaults: Limits) -> Result<TenantSpec, Vec<Violation>> {
        let mut wrong = Vec::new();
        let name = TenantName::parse(&self.name).map_err(|violation| wrong.push(violation)).ok();
        slug("language", &self.language, &mut wrong);
        if let Some(framework) = &self.framework {
            slug("framework", framework, &mut wrong);
        }
        if let Some(description) = &self.description {
            describe(description, &mut wrong);
        }
        let limits = self.limits.unwrap_or_default().check(defaults, &mut wrong);
        let env = variables(self.env.unwrap_or_default(), &mut wrong);
        match name {
            Some(name) if wrong.is_empty() => Ok(TenantSpec {
                name,
                language: self.language,
                framework: self.framework,
                description: self.description,
                base_image: self.base_image,
                limits,
                env,
            }),
            _ => Err(wrong),
        }
    }
}

impl LimitsBody {
    fn check(self, defaults: Limits, wrong: &mut Vec<Violation>) -> Limits {
        let cpu_millis = self.cpu.map_or(defaults.cpu_millis, |cores| {
            let millis = (cores * 1000.0).round();
            if cores.is_finite() && (1.0..=1_000_000.0).contains(&millis) {
                // In range by the line above, so the cast is exact.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let millis = millis as u32;
                millis
            } else {
                wrong.push(Violation::deny(
                    "limits.cpu",
                    "out-of-range",
                    format!("{cores} is not a number of cores; give one above 0, for example 0.5"),
                ));
                defaults.cpu_millis
            }
        });
        Limits {
            cpu_millis,
            memory_mb: self.memory_mb.unwrap_or(defaults.memory_mb),
            disk_mb: self.disk_mb.unwrap_or(defaults.disk_mb),
            ..defaults
        }
    }
}

/// Languages and frameworks are names that plugins chose; anything that could not be one is refused here, so
/// that nothing unprintable reaches a plugin or a log.
fn slug(path: &str, text: &str, wrong: &mut Vec<Violation>) {
    let good =
        (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+#/-".contains(&b));
    if !good {
        wrong.push(Violation::deny(
            path,
            "bad-form",
            format!("{text:?} is not the name of a {path}; use 1 to 64 letters, digits and `._+#/-`"),
        ));
    }
}

fn describe(text: &str, wrong: &mut Vec<Violation>) {
    if text.chars().count() > TenantSpec::DESCRIPTION_MAX {
        let most = TenantSpec::DESCRIPTION_MAX;
        wrong.push(Violation::deny(
            "description",
            "too-long",
            format!("the description has more than {most} characters"),
        ));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        wrong.push(Violation::deny("description", "bad-character", "the description contains control characters"));
    }
}

fn variables(given: BTreeMap<String, String>, wrong: &mut Vec<Violation>) -> BTreeMap<EnvName, String> {
    if given.len() > TenantSpec::ENV_MAX {
        let most = TenantSpec::ENV_MAX;
        wrong.push(Violation::deny(
            "env",
            "too-many",
            format!("{} variables were given; at most {most} are allowed", given.len()),
        ));
        return BTreeMap::new();
    }
    let mut env = BTreeMap::new();
    for (name, value) in given {
        let path = format!("env.{name}");
        match EnvName::parse(&name) {
            Err(message) => wrong.push(Violation::deny(path, "bad-name", message)),
            Ok(name) if name.is_reserved() => wrong.push(Violation::deny(
                path,
                "reserved",
                format!("{name} is set by the platform; choose another name"),
            )),
            Ok(_) if value.len() > TenantSpec::ENV_VALUE_MAX => wrong.push(Violation::deny(
                path,
                "too-long",
                format!("the value has {} bytes; at most {} are allowed", value.len(), TenantSpec::ENV_VALUE_MAX),
            )),
            Ok(_) if value.contains('\0') => {
                wrong.push(Violation::deny(path, "bad-character", "the value contains a NUL character"));
            }
            Ok(name) => {
                env.insert(name, value);
            }
        }
    }
    env
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_answer_names_everything_that_is_wrong() {
        let body: SpecBody = serde_json::from_str(
            r#"{"name": "a\nb", "language": "$HOME", "framework": "", "limits": {"cpu": -1},
                "env": {"1X": "a", "PORT": "1", "OK": "$fine"}}"#,
        )
        .unwrap();
        let wrong = body.check(Limits::DEFAULT).unwrap_err();
        let paths: Vec<_> = wrong.iter().map(|v| v.path.as_str()).collect();
        assert_eq!(paths, ["name", "language", "framework", "limits.cpu", "env.1X", "env.PORT"]);
    }

    #[test]
    fn what_is_absent_is_the_default() {
        let body: SpecBody =
            serde_json::from_str(r#"{"name": "a", "language": "node", "limits": {"cpu": 0.25}}"#).unwrap();
        let spec = body.check(Limits::DEFAULT).unwrap();
        assert_eq!(spec.limits, Limits { cpu_millis: 250, ..Limits::DEFAULT });
    }
}
