//! The operator's configuration of a plugin, checked against what the plugin says it takes.

use serde_json::Value;

/// Objections shown; a schema can find one for every element of a list.
const SHOWN: usize = 5;

/// What a plugin says its configuration looks like, ready to hold configurations against. Making one costs a thousand
/// times what asking it does.
#[derive(Debug)]
pub(crate) struct Schema(jsonschema::Validator);

impl Schema {
    /// Reads a JSON Schema, or tells what is wrong with it.
    pub(crate) fn compile(schema: &Value) -> Result<Self, String> {
        // Built without its resolvers, the library refuses references to other documents.
        jsonschema::draft202012::new(schema)
            .map(Self)
            .map_err(|error| format!("its config-schema is not a JSON Schema: {error}"))
    }

    /// The configuration as text for the guest, or what is wrong with it. None is `{}`.
    pub(crate) fn check(&self, configuration: Option<&Value>) -> Result<String, String> {
        let empty = Value::Object(serde_json::Map::new());
        let configuration = configuration.unwrap_or(&empty);
        if !configuration.is_object() {
            return Err("its configuration is not a JSON object".to_owned());
        }
        let objections: Vec<String> = self
            .0
            .iter_errors(configuration)
            .take(SHOWN)
            .map(|error| match error.instance_path().as_str() {
                "" => error.to_string(),
                path => format!("`{path}`: {error}"),
            })
            .collect();
        if objections.is_empty() {
            Ok(configuration.to_string())
        } else {
            Err(format!("its configuration does not fit its schema: {}", objections.join("; ")))
        }
    }
}

/// The configuration as text for the guest, or what is wrong with it or with the schema. None is `{}`.
pub fn check(schema: &Value, configuration: Option<&Value>) -> Result<String, String> {
    Schema::compile(schema)?.check(configuration)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "maximum": { "type": "object", "properties": { "cpu": { "type": "integer" } } } }
        })
    }

    #[test]
    fn none_is_an_empty_object() {
        assert_eq!(check(&schema(), None).unwrap(), "{}");
    }

    #[test]
    fn objections_name_the_field() {
        let error = check(&schema(), Some(&json!({ "maximum": { "cpu": "two" } }))).unwrap_err();
        assert!(error.contains("/maximum/cpu"), "{error}");
        let error = check(&schema(), Some(&json!({ "maximun": {} }))).unwrap_err();
        assert!(error.contains("maximun"), "{error}");
        assert!(check(&schema(), Some(&json!([]))).is_err());
    }

    #[test]
    fn a_schema_that_is_none_or_looks_elsewhere_is_refused() {
        assert!(check(&json!({ "type": "thing" }), None).is_err());
        for elsewhere in ["https://example.com/schema.json", "file:///etc/hostname"] {
            assert!(check(&json!({ "$ref": elsewhere }), None).is_err(), "{elsewhere}");
        }
    }
}
