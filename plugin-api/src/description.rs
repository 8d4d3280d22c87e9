//! Constructors for what every kind of plugin says: descriptions, examples, errors.

use crate::{Attribute, Description, Example, FieldError, PluginError};

/// The schema of an empty configuration.
const EMPTY_SCHEMA: &str =
    r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","additionalProperties":false}"#;

impl Description {
    /// Describes a template that has no configuration and no examples yet. `version` is a semantic version, usually
    /// `env!("CARGO_PKG_VERSION")`.
    pub fn template(id: &str, name: &str, version: &str, summary: &str) -> Self {
        Self::new("template", id, name, version, summary)
    }

    /// Describes a policy that has no configuration and no examples yet. `version` is a semantic version, usually
    /// `env!("CARGO_PKG_VERSION")`.
    pub fn policy(id: &str, name: &str, version: &str, summary: &str) -> Self {
        Self::new("policy", id, name, version, summary)
    }

    /// Describes a billing policy that has no configuration and no examples yet. `version` is a semantic version,
    /// usually `env!("CARGO_PKG_VERSION")`.
    pub fn billing(id: &str, name: &str, version: &str, summary: &str) -> Self {
        Self::new("billing", id, name, version, summary)
    }

    fn new(kind: &str, id: &str, name: &str, version: &str, summary: &str) -> Self {
        Self {
            id: id.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            homepage: None,
            config_schema: EMPTY_SCHEMA.to_owned(),
            examples: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// Sets the JSON Schema (2020-12) of the configuration.
    #[must_use]
    pub fn config_schema(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.config_schema);
        self
    }

    /// Sets where to read more, an `https` URL.
    #[must_use]
    pub fn homepage(mut self, url: &str) -> Self {
        self.homepage = Some(url.to_owned());
        self
    }

    /// Adds a case; there is at least one. The server runs them at install, and rejects a plugin of which one does not
    /// hold.
    #[must_use]
    pub fn example(mut self, example: Example) -> Self {
        self.examples.push(example);
        self
    }
}

impl Example {
    /// A case that must succeed. `config` and `input` are JSON; the field of the same name says how records are
    /// written.
    pub fn new(name: &str, config: &str, input: &str) -> Self {
        Self { name: name.to_owned(), config: config.to_owned(), input: input.to_owned(), expect: None }
    }

    /// The case of a file of a project's `cases/`, so that what is tested is also what the plugin says of itself: an
    /// object of `name`, `config`, `input` and, where there is one, `expect`.
    ///
    /// # Panics
    ///
    /// The text is no such object; `convergence plugin check` shows which.
    pub fn from_case(json: &str) -> Self {
        let case: serde_json::Value =
            serde_json::from_str(json).unwrap_or_else(|error| panic!("a case is not JSON: {error}"));
        let part = |name: &str| case.get(name).map(ToString::to_string);
        let name = case.get("name").and_then(serde_json::Value::as_str);
        let name = name.unwrap_or_else(|| panic!("a case has no `name`: {json}"));
        let config = part("config").unwrap_or_else(|| "{}".to_owned());
        let input = part("input").unwrap_or_else(|| panic!("the case `{name}` has no `input`"));
        Self { name: name.to_owned(), config, input, expect: part("expect") }
    }

    /// Says what the answer must contain, as JSON; `{"error":"invalid-input"}` for a call that must fail.
    #[must_use]
    pub fn expect(mut self, json: &str) -> Self {
        self.expect = Some(json.to_owned());
        self
    }
}

impl Attribute {
    /// A name with a value.
    pub fn new(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned() }
    }
}

impl FieldError {
    /// Says what is wrong at `path`, and what to do.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

impl PluginError {
    /// One thing the configuration gets wrong that its schema cannot express.
    pub fn invalid_config(path: &str, message: impl Into<String>) -> Self {
        Self::InvalidConfig(vec![FieldError::new(path, message)])
    }

    /// One thing the caller asked for that cannot be.
    pub fn invalid_input(path: &str, message: impl Into<String>) -> Self {
        Self::InvalidInput(vec![FieldError::new(path, message)])
    }

    /// A reasonable request that this plugin cannot serve: what was found, and what to do instead.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::Unsupported(message.into())
    }

    /// A fault of the plugin itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal(message.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_of_a_file_is_an_example() {
        let case =
            Example::from_case(r#"{"name":"n","config":{"a":1},"input":{"b":[2]},"expect":{"error":"internal"}}"#);
        assert_eq!(case, Example::new("n", r#"{"a":1}"#, r#"{"b":[2]}"#).expect(r#"{"error":"internal"}"#));
        assert_eq!(Example::from_case(r#"{"name":"n","input":{}}"#), Example::new("n", "{}", "{}"));
    }
}
