//! What is wrong with a field, human-readable.

use std::fmt;

use convergence_model::Violation;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value;

/// Where in a body something is, for example `limits.memoryMb` or `leftovers[0].kind`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Field(String),
    Item(usize),
}

impl Path {
    pub(super) fn of(location: &Location) -> Self {
        let steps = location.iter().map(|segment| match segment {
            LocationSegment::Property(name) => Step::Field(name.into_owned()),
            LocationSegment::Index(index) => Step::Item(index),
        });
        Self(steps.collect())
    }

    pub(super) fn field(&self, name: &str) -> Self {
        Self(self.0.iter().cloned().chain([Step::Field(name.to_owned())]).collect())
    }

    pub(super) fn item(&self, index: usize) -> Self {
        Self(self.0.iter().cloned().chain([Step::Item(index)]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if at == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Something that is wrong.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) path: Path,
    pub(super) violation: Violation,
    /// The value cannot be read as what it should be, so nothing else can be said about it.
    pub(super) unreadable: bool,
}

impl Finding {
    pub(super) fn new(path: Path, code: &str, message: impl Into<String>) -> Self {
        let violation = Violation::deny(path.to_string(), code, message);
        Self { path, violation, unreadable: false }
    }

    pub(super) fn unreadable(path: Path, code: &str, message: impl Into<String>) -> Self {
        Self { unreadable: true, ..Self::new(path, code, message) }
    }
}

/// Says what a schema has against a value. `root` is the whole schema, which knows the names of fields.
pub(super) fn findings(error: &ValidationError<'_>, root: &Value) -> Vec<Finding> {
    let path = Path::of(error.instance_path());
    let one = |code: &str, message: String| vec![Finding::new(path.clone(), code, message)];
    let found = error.instance();
    match error.kind() {
        ValidationErrorKind::Type { kind } => {
            let message = format!("it is {}; send {}", kind_of(found), wanted(kind));
            vec![Finding::unreadable(path, "wrong-type", message)]
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Finding::new(path.field(name), "required", format!("{name:?} is missing; it is required"))]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = fields_of(error, root);
            let unknown = |name: &String| {
                let message = format!("there is no field {:?}; the fields are {known}", shortened(name));
                Finding::unreadable(path.field(name), "unknown-field", message)
            };
            unexpected.iter().map(unknown).collect()
        }
        ValidationErrorKind::Minimum { limit } => {
            one("out-of-range", format!("{found} is below the minimum of {limit}"))
        }
        ValidationErrorKind::Maximum { limit } => {
            one("out-of-range", format!("{found} is above the maximum of {limit}"))
        }
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            one("out-of-range", format!("{found} is not above {limit}; send more"))
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            one("out-of-range", format!("{found} is not below {limit}; send less"))
        }
        ValidationErrorKind::MultipleOf { multiple_of } => {
            one("too-precise", format!("{found} is not a multiple of {multiple_of}; round it"))
        }
        ValidationErrorKind::MinLength { limit } => one("too-short", format!("it has fewer than {limit} characters")),
        ValidationErrorKind::MaxLength { limit } => one("too-long", format!("it has more than {limit} characters")),
        ValidationErrorKind::MinItems { limit } => one("bad-count", format!("send at least {limit}")),
        ValidationErrorKind::MaxItems { limit } => one("bad-count", format!("send at most {limit}")),
        ValidationErrorKind::MinProperties { limit } => one("bad-count", format!("send at least {limit}")),
        ValidationErrorKind::MaxProperties { limit } => one("too-many", format!("send at most {limit}")),
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options: Vec<_> = options.iter().filter_map(Value::as_str).collect();
            one("unknown", format!("{} is not known; use one of {}", shown(found), options.join(", ")))
        }
        ValidationErrorKind::Pattern { pattern } => {
            let rule = description(error, root).unwrap_or_else(|| format!("it must match `{pattern}`"));
            let value = if is_secret(error, root) { "the value".to_owned() } else { shown(found) };
            one("bad-form", format!("{value} does not have the right form: {rule}"))
        }
        ValidationErrorKind::Format { format } => one("bad-form", format!("{} is not a {format}", shown(found))),
        ValidationErrorKind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default();
            let message = format!("{:?} cannot be a name here: use letters, digits and '_'", shortened(name));
            vec![Finding::new(path.field(name), "bad-name", message)]
        }
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            // Of several forms the one is meant whose type the value has.
            let meant = context.iter().find(|errors| {
                !errors.iter().any(|error| {
                    matches!(error.kind(), ValidationErrorKind::Type { .. }) && Path::of(error.instance_path()) == path
                })
            });
            match meant.or_else(|| context.last()) {
                Some(errors) => errors.iter().flat_map(|error| findings(error, root)).collect(),
                None => one("bad-form", "it has none of the forms that are documented".to_owned()),
            }
        }
        other => one("bad-form", format!("it does not satisfy `{}` of the documented schema", other.keyword())),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn wanted(kind: &TypeKind) -> String {
    let named = |name: &str| match name {
        "array" => "an array",
        "object" => "an object",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "boolean" => "`true` or `false`",
        _ => "null",
    };
    match kind {
        TypeKind::Single(kind) => named(kind.as_str()).to_owned(),
        TypeKind::Multiple(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| named(kind.as_str())).filter(|name| *name != "null").collect();
            kinds.join(" or ")
        }
    }
}

/// A value, as far as it can be shown without filling the answer.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{:?}", shortened(text)),
        other => shortened(&other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The part of the schema that holds the keyword which failed.
fn holder<'a>(error: &ValidationError<'_>, root: &'a Value) -> Option<&'a Value> {
    let keyword = error.schema_path().as_str();
    root.pointer(keyword.rsplit_once('/').map_or("", |(holder, _)| holder))
}

fn description(error: &ValidationError<'_>, root: &Value) -> Option<String> {
    Some(holder(error, root)?.get("description")?.as_str()?.replace('\n', " "))
}

/// Whether the value must not be repeated.
fn is_secret(error: &ValidationError<'_>, root: &Value) -> bool {
    holder(error, root).and_then(|schema| schema.get("format")).and_then(Value::as_str) == Some("password")
}

fn fields_of(error: &ValidationError<'_>, root: &Value) -> String {
    let fields = holder(error, root).and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let names: Vec<_> = fields.into_iter().flatten().map(|(name, _)| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
