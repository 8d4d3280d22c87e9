//! A tenant's spec as clients write it, checked field by field so that one answer names everything wrong.

use std::collections::BTreeMap;

use convergence_model::{EnvName, Limits, ServiceSpec, Source, TenantName, TenantSpec, Violation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};

use super::source::{SourceBody, source_schema};
use crate::input::merged;

/// What the tenant should be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"name": "my-app", "language": "node", "framework": "express"}))]
pub(crate) struct SpecBody {
    // Absent only where the schema has told so already.
    #[schema(required, schema_with = name_schema)]
    name: Option<String>,
    /// Where the application comes from; the starter of the language where absent.
    #[schema(schema_with = source_schema)]
    source: Option<SourceBody>,
    /// A language that `GET /api/v1/templates` lists, or `dockerfile`. With a source it may be absent: the source says it, or it
    /// is recognized. An image has none.
    #[schema(pattern = "^[A-Za-z0-9._+#/-]{1,64}$")]
    language: Option<String>,
    /// A framework of that language; its first one where absent.
    #[schema(pattern = "^[A-Za-z0-9._+#/-]{1,64}$")]
    framework: Option<String>,
    /// Human-readable, at most 1000 characters, without control characters other than line ends and tabs.
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    description: Option<String>,
    /// Runs on this image instead of the template's; must be on the operator's allowlist.
    base_image: Option<String>,
    /// How much of a machine it may use.
    limits: Option<LimitsBody>,
    /// Variables of its own, set literally: nothing expands `$`.
    #[schema(schema_with = variables_schema)]
    env: Option<BTreeMap<String, String>>,
    /// The port that the application listens on, whatever `PORT` is; from 1024 where a template builds it.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// The path, beginning with `/`, that answers 2xx once the application is ready; what the template looks at where absent.
    #[schema(max_length = 255, pattern = "^/(?!/)")]
    health_path: Option<String>,
}

/// How much of a machine a tenant may use. What is absent is the server's default.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitsBody {
    /// Cores in thousandths, for example 0.5.
    #[schema(minimum = 0.01, maximum = 1000, multiple_of = 0.001)]
    pub(super) cpu: Option<f64>,
    /// MiB of memory.
    #[schema(minimum = 1, maximum = 4294967295_u32)]
    pub(super) memory_mb: Option<u32>,
    /// MiB on disk.
    #[schema(minimum = 1, maximum = 4294967295_u32)]
    pub(super) disk_mb: Option<u32>,
}

/// What a tenant may be called, as `TenantName` checks it.
pub(crate) fn name_schema() -> Schema {
    Schema::Object(name_of(Type::String.into()).build())
}

/// The same, where it may be absent.
pub(crate) fn other_name_schema() -> Schema {
    Schema::Object(name_of(SchemaType::from_iter([Type::String, Type::Null])).build())
}

fn name_of(kind: SchemaType) -> ObjectBuilder {
    const PATTERN: &str = concat!(
        r"^(?![0-9]+$)(?!(?:[pP][lL][aA][nN]|[sS][pP][aA][wW][nN])$)",
        r"[A-Za-z0-9](?:(?:\.?[A-Za-z0-9 _-])*\.?[A-Za-z0-9])?$"
    );
    let description = "1 to 100 letters, digits, spaces, `.`, `_` and `-`, beginning and ending with a letter or digit, without \
                       `..`, not digits only, not `plan` or `spawn`; unique in the organization without regard to case.";
    ObjectBuilder::new()
        .schema_type(kind)
        .description(Some(description))
        .min_length(Some(1))
        .max_length(Some(100))
        .pattern(Some(PATTERN))
}

/// A variable that is not the platform's.
pub(crate) const VARIABLE_NAME: &str =
    "^(?!CONVERGENCE_)(?!(?:TENANT_ID|TENANT_NAME|PORT|NODE_ENV|LOG_LEVEL|PATH|HOME)$)[A-Za-z_][A-Za-z0-9_]{0,127}$";

/// What `variables` checks, where they may be absent.
pub(crate) fn variables_schema() -> Schema {
    let description = "Variables of its own, set literally: nothing expands `$`.";
    variables_of(SchemaType::from_iter([Type::Object, Type::Null]), Type::String.into(), description)
}

/// All variables.
pub(crate) fn all_variables_schema() -> Schema {
    variables_of(Type::Object.into(), Type::String.into(), "All of them, set literally: nothing expands `$`.")
}

/// Variables that are to be different.
pub(crate) fn changed_variables_schema() -> Schema {
    let description = "Set literally: nothing expands `$`. `null` removes one.";
    variables_of(Type::Object.into(), SchemaType::from_iter([Type::String, Type::Null]), description)
}

/// Secrets that are to be different.
pub(crate) fn changed_secrets_schema() -> Schema {
    let value = value_of(SchemaType::from_iter([Type::String, Type::Null]), TenantSpec::SECRET_MAX)
        .min_length(Some(1))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)));
    by_name(Type::Object.into(), value, "Their values, which are not shown again. `null` removes one.")
}

fn variables_of(kind: SchemaType, value: SchemaType, description: &str) -> Schema {
    by_name(kind, value_of(value, TenantSpec::ENV_VALUE_MAX), description)
}

fn value_of(kind: SchemaType, most: usize) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).max_length(Some(most)).pattern(Some(r"^[^\x00]*$"))
}

fn by_name(kind: SchemaType, value: ObjectBuilder, description: &str) -> Schema {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some(VARIABLE_NAME));
    let variables = ObjectBuilder::new()
        .schema_type(kind)
        .description(Some(description))
        .property_names(Some(name.build()))
        .additional_properties(Some(Schema::Object(value.build())))
        .max_properties(Some(TenantSpec::ENV_MAX));
    Schema::Object(variables.build())
}

/// What was asked for, to be compared with another request: fields that are absent, null or empty are the same.
#[derive(Debug, Serialize)]
pub(crate) struct Asked<'a> {
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<&'a str>,
    /// A repository or an image, in the words of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    language: Option<&'a str>,
    framework: Option<&'a str>,
    description: Option<&'a str>,
    base_image: Option<&'a str>,
    cpu_millis: Option<u32>,
    memory_mb: Option<u32>,
    disk_mb: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<BTreeMap<&'a str, &'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_path: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Of name, language, framework, description and base image, in this order.
    pub(crate) fn of(
        source: Option<&'a SourceBody>,
        [name, language, framework, description, base_image]: [Option<&'a str>; 5],
        limits: Option<&LimitsBody>,
        env: Option<&'a BTreeMap<String, String>>,
        (port, health_path): (Option<u16>, Option<&'a str>),
    ) -> Self {
        Self {
            name,
            archive: source.and_then(SourceBody::archive),
            source: source.and_then(SourceBody::asked),
            language,
            framework,
            description,
            base_image,
            cpu_millis: limits.and_then(|limits| limits.cpu).and_then(|cores| millis(cores).ok()),
            memory_mb: limits.and_then(|limits| limits.memory_mb),
            disk_mb: limits.and_then(|limits| limits.disk_mb),
            env: env.map(|env| env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()),
            port,
            health_path,
        }
    }
}

impl SpecBody {
    /// The request as it is compared with another one.
    pub(crate) fn asked(&self) -> Asked<'_> {
        let (name, language, framework) = (self.name.as_deref(), self.language.as_deref(), self.framework.as_deref());
        let texts = [name, language, framework, self.description.as_deref(), self.base_image.as_deref()];
        // To a tenant that is made, variables that are not named are no variables.
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        let env = Some(self.env.as_ref().unwrap_or(&NONE));
        let answers = (self.port, self.health_path.as_deref());
        Asked::of(self.source.as_ref(), texts, self.limits.as_ref(), env, answers)
    }

    /// The spec, with `defaults` where limits are absent; or everything that is wrong with it, what the schema `told`
    /// included.
    pub(crate) fn check(self, defaults: Limits, told: Vec<Violation>) -> Result<TenantSpec, Vec<Violation>> {
        let mut wrong = Vec::new();
        let name = self.name.and_then(|name| TenantName::parse(&name).map_err(|violation| wrong.push(violation)).ok());
        let source = match self.source {
            Some(source) => source.check(&mut wrong).unwrap_or_default(),
            None => Source::Starter,
        };
        match &self.language {
            Some(language) => slug("language", language, &mut wrong),
            None if source == Source::Starter && wrong.is_empty() => {
                let message =
                    "name a language that `GET /api/v1/templates` lists, or give the source of an application";
                wrong.push(Violation::deny("language", "required", message));
            }
            None => {}
        }
        if let Some(framework) = &self.framework {
            slug("framework", framework, &mut wrong);
        }
        if let Some(description) = &self.description {
            describe(description, &mut wrong);
        }
        let limits = self.limits.unwrap_or_default().check(defaults, &mut wrong);
        let env = variables(self.env.unwrap_or_default(), &mut wrong);
        let wrong = merged(wrong, told);
        match name {
            Some(name) if wrong.is_empty() => Ok(TenantSpec {
                name,
                source,
                language: self.language.unwrap_or_default(),
                framework: self.framework,
                description: self.description,
                base_image: self.base_image,
                limits,
                env,
                secrets: BTreeMap::new(),
                service: ServiceSpec { port: self.port, health_path: self.health_path },
            }),
            _ => Err(wrong),
        }
    }
}

impl LimitsBody {
    /// Cores, MiB of memory and MiB on disk.
    pub(crate) fn of(cpu: Option<f64>, memory_mb: Option<u32>, disk_mb: Option<u32>) -> Self {
        Self { cpu, memory_mb, disk_mb }
    }

    pub(crate) fn check(self, defaults: Limits, wrong: &mut Vec<Violation>) -> Limits {
        let cpu_millis = self.cpu.map_or(defaults.cpu_millis, |cores| {
            millis(cores).unwrap_or_else(|(code, message)| {
                wrong.push(Violation::deny("limits.cpu", code, message));
                defaults.cpu_millis
            })
        });
        Limits {
            cpu_millis,
            memory_mb: self.memory_mb.unwrap_or(defaults.memory_mb),
            disk_mb: self.disk_mb.unwrap_or(defaults.disk_mb),
            ..defaults
        }
    }
}

/// Thousandths of a core. Nothing is rounded: who asks for a number gets that number or hears why not.
fn millis(cores: f64) -> Result<u32, (&'static str, String)> {
    /// What arithmetic makes of a decimal fraction, and no more.
    const NOISE: f64 = 1e-6;
    let exact = cores * 1000.0;
    let whole = exact.round();
    if !(10.0..=1_000_000.0).contains(&whole) {
        let message =
            format!("{cores} is not a number of cores that can be given; ask for 0.01 to 1000, for example 0.5");
        return Err(("out-of-range", message));
    }
    if (exact - whole).abs() > NOISE {
        return Err((
            "too-precise",
            format!("{cores} has more than three decimal places; round it, for example to 0.5"),
        ));
    }
    // In range by the lines above, so the cast is exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = whole as u32;
    Ok(whole)
}

/// Languages and frameworks are names that plugins chose; anything that could not be one is refused here, so
/// that nothing unprintable reaches a plugin or a log.
pub(crate) fn slug(path: &str, text: &str, wrong: &mut Vec<Violation>) {
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

pub(crate) fn variables(given: BTreeMap<String, String>, wrong: &mut Vec<Violation>) -> BTreeMap<EnvName, String> {
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
            Ok(_) if value.chars().count() > TenantSpec::ENV_VALUE_MAX => wrong.push(Violation::deny(
                path,
                "too-long",
                format!(
                    "the value has {} characters; at most {} are allowed",
                    value.chars().count(),
                    TenantSpec::ENV_VALUE_MAX
                ),
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
        let wrong = body.check(Limits::DEFAULT, Vec::new()).unwrap_err();
        let paths: Vec<_> = wrong.iter().map(|v| v.path.as_str()).collect();
        assert_eq!(paths, ["name", "language", "framework", "limits.cpu", "env.1X", "env.PORT"]);
    }

    #[test]
    fn cores_are_taken_as_they_are_or_refused() {
        for thousandths in 10..5000 {
            let cores = f64::from(thousandths) / 1000.0;
            assert_eq!(millis(cores), Ok(thousandths));
            assert_eq!(millis(f64::from(thousandths) * 0.001), Ok(thousandths));
        }
        for (cores, code) in
            [(4.0004, "too-precise"), (0.0104, "too-precise"), (0.0014, "out-of-range"), (-1.0, "out-of-range")]
        {
            assert_eq!(millis(cores).unwrap_err().0, code, "{cores}");
        }
    }

    #[test]
    fn requests_that_mean_the_same_are_the_same() {
        let asked = |text: &str| {
            let body: SpecBody = serde_json::from_str(text).unwrap();
            serde_json::to_string(&body.asked()).unwrap()
        };
        let one = asked(r#"{"name": "a", "language": "go", "limits": {"cpu": 0.5}}"#);
        let other = r#"{"env": {}, "limits": {"memoryMb": null, "cpu": 0.50}, "framework": null, "language": "go", "name": "a"}"#;
        assert_eq!(asked(other), one);
        assert_ne!(asked(r#"{"name": "a", "language": "go", "limits": {"cpu": 0.501}}"#), one);
    }

    #[test]
    fn what_is_absent_is_the_default() {
        let body: SpecBody =
            serde_json::from_str(r#"{"name": "a", "language": "node", "limits": {"cpu": 0.25}}"#).unwrap();
        let spec = body.check(Limits::DEFAULT, Vec::new()).unwrap();
        assert_eq!(spec.limits, Limits { cpu_millis: 250, ..Limits::DEFAULT });
    }
}
