//! The schemas of what requests say, compiled once.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use convergence_model::Violation;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{RefOr, Required};
use utoipa::{IntoParams, ToSchema};

use super::words::{Finding, Path, Step, findings};

/// A schema, ready to look at values.
#[derive(Debug)]
pub(super) struct Checker {
    root: Value,
    validator: Validator,
}

/// A schema that cannot be compiled: a defect, which a test over every route finds.
#[derive(Debug, thiserror::Error)]
#[error("the schema of {what} is not a JSON schema: {cause}")]
pub(crate) struct BadSchema {
    what: &'static str,
    cause: String,
}

/// One table for all: types are few and none ever goes away.
static CHECKERS: Mutex<Option<HashMap<TypeId, Arc<Checker>>>> = Mutex::new(None);

fn kept<T: 'static>(make: impl FnOnce() -> Value) -> Result<Arc<Checker>, BadSchema> {
    let mut checkers = CHECKERS.lock().unwrap_or_else(PoisonError::into_inner);
    let checkers = checkers.get_or_insert_default();
    if let Some(checker) = checkers.get(&TypeId::of::<T>()) {
        return Ok(Arc::clone(checker));
    }
    let mut root = make();
    bound(&mut root);
    let what = std::any::type_name::<T>();
    let validator =
        jsonschema::draft202012::new(&root).map_err(|error| BadSchema { what, cause: error.to_string() })?;
    let checker = Arc::new(Checker { root, validator });
    checkers.insert(TypeId::of::<T>(), Arc::clone(&checker));
    Ok(checker)
}

/// Says in so many words what the format of an integer means: nothing else compares a value with it.
fn bound(schema: &mut Value) {
    let range = match schema.get("format").and_then(Value::as_str) {
        Some("int64") => Some((i64::MIN, i64::MAX)),
        Some("int32") => Some((i64::from(i32::MIN), i64::from(u32::MAX))),
        _ => None,
    };
    match schema {
        Value::Object(fields) => {
            if let Some((least, most)) = range {
                fields.entry("minimum").or_insert(least.into());
                fields.entry("maximum").or_insert(most.into());
            }
            fields.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        _ => {}
    }
}

/// The checker of a body.
pub(super) fn of_body<T: ToSchema + 'static>() -> Result<Arc<Checker>, BadSchema> {
    kept::<T>(|| {
        let mut parts = Vec::new();
        T::schemas(&mut parts);
        let mut root = serde_json::to_value(T::schema()).unwrap_or_default();
        // References of the document lead to the same places here.
        let parts: Map<_, _> =
            parts.into_iter().map(|(name, part)| (name, serde_json::to_value(part).unwrap_or_default())).collect();
        if let Some(root) = root.as_object_mut() {
            root.insert("components".to_owned(), json!({ "schemas": parts }));
        }
        root
    })
}

/// The checker of the query parameters that a type lists: an object with one field each.
pub(super) fn of_query<T: IntoParams + 'static>() -> Result<Arc<Checker>, BadSchema> {
    kept::<T>(|| {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for parameter in T::into_params(|| Some(ParameterIn::Query)) {
            if parameter.required == Required::True {
                required.push(parameter.name.clone());
            }
            let mut schema = match &parameter.schema {
                Some(RefOr::T(schema)) => serde_json::to_value(schema).unwrap_or_default(),
                _ => json!({}),
            };
            if let (Some(schema), Some(text)) = (schema.as_object_mut(), &parameter.description) {
                schema.entry("description").or_insert_with(|| text.as_str().into());
            }
            properties.insert(parameter.name, schema);
        }
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    })
}

impl Checker {
    /// Everything that the schema has against a value.
    pub(super) fn findings(&self, value: &Value) -> Vec<Finding> {
        self.validator.iter_errors(value).flat_map(|error| findings(&error, &self.root)).collect()
    }

    /// The types that a field may have.
    pub(super) fn types_of(&self, field: &str) -> Vec<&str> {
        match self.root.get("properties").and_then(|fields| fields.get(field)).and_then(|schema| schema.get("type")) {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// Takes out what cannot be read, so that the rest can be looked at.
pub(super) fn without_unreadable(value: &mut Value, found: &[Finding]) {
    for finding in found.iter().filter(|finding| finding.unreadable) {
        remove(value, &finding.path);
    }
}

fn remove(value: &mut Value, Path(steps): &Path) {
    let Some((last, way)) = steps.split_last() else { return };
    let mut here = Some(value);
    for step in way {
        here = here.and_then(|value| match step {
            Step::Field(name) => value.get_mut(name),
            Step::Item(index) => value.get_mut(index),
        });
    }
    match (here, last) {
        (Some(Value::Object(fields)), Step::Field(name)) => drop(fields.remove(name)),
        // Its neighbours keep their places, which other findings name.
        (Some(Value::Array(items)), Step::Item(index)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

/// What a closer look found, and of what the schema found everything that is about other fields: of two sentences about
/// one field the closer look's is the better one.
pub(crate) fn merged(closer: Vec<Violation>, schema: Vec<Violation>) -> Vec<Violation> {
    let mut all = closer;
    let others: Vec<_> = schema.into_iter().filter(|found| all.iter().all(|known| known.path != found.path)).collect();
    all.extend(others);
    all
}
