//! A plugin's configuration: JSON text in, the author's type out, and errors that name the field.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{FieldError, PluginError};

/// The configuration of a plugin that has none: an empty object.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Reads a configuration.
///
/// # Errors
///
/// [`PluginError::InvalidConfig`] with the path of the first field that does not fit.
pub(crate) fn parse<C: DeserializeOwned>(json: &str) -> Result<C, PluginError> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let config = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = match error.path().to_string() {
            // How serde_path_to_error writes the root.
            root if root == "." => String::new(),
            path => path,
        };
        PluginError::InvalidConfig(vec![FieldError { path, message: error.inner().to_string() }])
    })?;
    reader.end().map_err(|error| PluginError::invalid_config("", error.to_string()))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner {
        size: u32,
    }

    fn path_of(json: &str) -> Option<String> {
        match parse::<Outer>(json) {
            Err(PluginError::InvalidConfig(errors)) => errors.into_iter().next().map(|error| error.path),
            _ => None,
        }
    }

    #[test]
    fn a_fitting_configuration_is_read() {
        assert_eq!(parse::<Outer>("{}"), Ok(Outer { inner: vec![] }));
        assert_eq!(parse::<Outer>(r#"{"inner":[{"size":3}]}"#), Ok(Outer { inner: vec![Inner { size: 3 }] }));
        assert_eq!(parse::<NoConfig>("{}"), Ok(NoConfig {}));
    }

    #[test]
    fn an_error_names_the_field() {
        assert_eq!(path_of(r#"{"inner":[{"size":1},{"size":"big"}]}"#).as_deref(), Some("inner[1].size"));
        assert_eq!(path_of("7").as_deref(), Some(""));
        assert_eq!(path_of("{} {}").as_deref(), Some(""));
        assert_eq!(path_of("").as_deref(), Some(""));
        assert!(parse::<NoConfig>(r#"{"surprise":1}"#).is_err());
    }
}
