//! What a tenant should be, as its owner asked for it, with every field already checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::Limits;
use crate::source::Source;

pub use crate::name::TenantName;

/// What the tenant should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// What people call it; unique in its organization, without regard to case.
    pub name: TenantName,
    /// A language some installed template offers.
    pub language: String,
    /// Where the application comes from. A tenant of an earlier version has the starter.
    #[serde(default)]
    pub source: Source,
    /// A framework of that language; the template's first one where absent.
    pub framework: Option<String>,
    /// Human-readable; at most [`TenantSpec::DESCRIPTION_MAX`] characters.
    pub description: Option<String>,
    /// Replaces the image the template would run on.
    pub base_image: Option<String>,
    /// How much of a machine it may use.
    pub limits: Limits,
    /// Variables of the tenant's own, set literally: nothing expands `$`.
    pub env: BTreeMap<EnvName, String>,
    /// Variables whose values are secret: which version of each. The values are kept elsewhere, sealed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<EnvName, u32>,
    /// How the application answers, where that is not as its template expects.
    #[serde(default, skip_serializing_if = "ServiceSpec::is_empty")]
    pub service: ServiceSpec,
}

/// How an application answers. What is absent is as its template, its `convergence.toml` or its image says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// The port it listens on, whatever `PORT` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The path that answers 2xx once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
}

impl ServiceSpec {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What this says, else what `other` says.
    pub fn or(&self, other: &Self) -> Self {
        Self {
            port: self.port.or(other.port),
            health_path: self.health_path.as_ref().or(other.health_path.as_ref()).cloned(),
        }
    }
}

/// The language of applications that are built from a Dockerfile of their own.
pub const DOCKERFILE: &str = "dockerfile";
/// The language of applications that are images already.
pub const IMAGE: &str = "image";

impl TenantSpec {
    /// Whether the application brings its image, or the Dockerfile of it: no template is asked, and what is run is what the
    /// image says.
    pub fn brings_image(&self) -> bool {
        match self.source {
            Source::Image(_) => true,
            Source::Archive(_) | Source::Git(_) => self.language == DOCKERFILE,
            Source::Starter => false,
        }
    }

    /// The names of all variables of its own, the secret ones included.
    pub fn variable_names(&self) -> Vec<String> {
        self.env.keys().chain(self.secrets.keys()).map(ToString::to_string).collect()
    }

    /// Characters in a description.
    pub const DESCRIPTION_MAX: usize = 1000;
    /// Variables of a tenant's own; and as many secret ones.
    pub const ENV_MAX: usize = 64;
    /// Characters in the value of one variable.
    pub const ENV_VALUE_MAX: usize = 4096;
    /// Characters in the value of a secret one, which may be a certificate chain. Linux gives a program no variable of 128 KiB.
    pub const SECRET_MAX: usize = 16 << 10;
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
    /// What is wrong with it, human-readable.
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
    fn variables_of_the_platform_are_reserved() {
        assert!(EnvName::parse("CONVERGENCE_API_KEY").unwrap().is_reserved());
        assert!(!EnvName::parse("DATABASE_URL").unwrap().is_reserved());
        assert!(EnvName::parse("1A").is_err() && EnvName::parse("A-B").is_err() && EnvName::parse("").is_err());
    }
}
