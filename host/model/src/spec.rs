//! What a tenant should be, as its owner asked for it, with every field already checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::field::Violation;
use crate::limits::Limits;

/// What the tenant should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// What people call it; unique within its organization.
    pub name: TenantName,
    /// A language some installed template offers.
    pub language: String,
    /// A framework of that language; the template's first one where absent.
    pub framework: Option<String>,
    /// For people; at most [`TenantSpec::DESCRIPTION_MAX`] characters.
    pub description: Option<String>,
    /// Replaces the image the template would run on.
    pub base_image: Option<String>,
    /// How much of a machine it may use.
    pub limits: Limits,
    /// Variables of the tenant's own, set literally: nothing expands `$`.
    pub env: BTreeMap<EnvName, String>,
}

impl TenantSpec {
    /// Characters in a description.
    pub const DESCRIPTION_MAX: usize = 1000;
    /// Variables of a tenant's own.
    pub const ENV_MAX: usize = 64;
    /// Bytes in the value of one variable.
    pub const ENV_VALUE_MAX: usize = 4096;
}

/// A tenant's name: 1 to 100 ASCII letters, digits, spaces, `.`, `_` and `-`, beginning and ending with a
/// letter or digit, without `..`. Narrow on purpose: it appears in labels, file names and log lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(String);

impl TenantName {
    /// Characters in a name.
    pub const MAX: usize = 100;

    /// Checks a name.
    ///
    /// # Errors
    /// A violation of the path `name` that says which rule was broken.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        let deny = |code, message: String| Err(Violation::deny("name", code, message));
        let length = text.chars().count();
        if length == 0 {
            return deny("required", "the name is empty; give one of 1 to 100 characters".into());
        }
        if length > Self::MAX {
            return deny("too-long", format!("the name has {length} characters; at most {} are allowed", Self::MAX));
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || " ._-".contains(*c))) {
            return deny(
                "bad-character",
                format!("the name contains {bad:?}; use letters, digits, spaces, '.', '_' and '-'"),
            );
        }
        let edges_ok = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !edges_ok || text.contains("..") {
            return deny(
                "bad-form",
                "the name must begin and end with a letter or digit and must not contain '..'".into(),
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|violation| violation.message)
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0
    }
}

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

impl EnvName {
    /// Bytes in a name.
    pub const MAX: usize = 128;

    /// Checks a name.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let head_ok = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let all_ok = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !head_ok || !all_ok || text.len() > Self::MAX {
            return Err(format!(
                "{text:?} is not the name of a variable; use letters, digits and '_', not beginning with a digit, at most {} in all",
                Self::MAX
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the platform sets this variable itself, so that nobody else may.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("CONVERGENCE_")
            || matches!(
                self.0.as_str(),
                "TENANT_ID" | "TENANT_NAME" | "PORT" | "NODE_ENV" | "LOG_LEVEL" | "PATH" | "HOME"
            )
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EnvName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<EnvName> for String {
    fn from(name: EnvName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_what_people_call_things_and_nothing_more() {
        for good in ["a", "my-app", "ACME Corp v1.2", &"x".repeat(100)] {
            assert!(TenantName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " a",
            "a ",
            "-a",
            "../etc",
            "a..b",
            "$HOME",
            "x\nADD http://127.0.0.1/ /",
            "a\0",
            "é",
            &"x".repeat(101),
        ] {
            assert_eq!(TenantName::parse(bad).unwrap_err().path, "name", "{bad:?}");
        }
    }

    #[test]
    fn a_stored_name_is_checked_again_when_read() {
        assert!(serde_json::from_str::<TenantName>("\"a\\nb\"").is_err());
    }

    #[test]
    fn variables_of_the_platform_are_reserved() {
        assert!(EnvName::parse("CONVERGENCE_API_KEY").unwrap().is_reserved());
        assert!(!EnvName::parse("DATABASE_URL").unwrap().is_reserved());
        assert!(EnvName::parse("1A").is_err() && EnvName::parse("A-B").is_err() && EnvName::parse("").is_err());
    }
}
