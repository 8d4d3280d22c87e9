//! Why an operation failed, told so that a person can do something about it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::code::Code;

/// Why an operation failed, told so that a person can do something about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The step that failed: `image`, `network`, `volumes`, `container`, `start`, `probe`, …
    pub step: String,
    /// A stable code for programs, for example `build-failed`.
    pub code: FailureCode,
    /// What happened.
    pub message: String,
    /// Why, as far as can be told.
    pub likely_cause: String,
    /// What to try next.
    pub next: String,
    /// The last lines of the build or the app, oldest first, at most 20.
    pub log: Vec<String>,
}

/// The code of a stored failure: its slug.
///
/// A database may hold a slug that this version does not know, because a newer version wrote it. Such a failure can be read
/// like any other: to programs its code is [`Code::UnknownCode`], to people it is shown with the slug, and it is stored
/// again as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCode {
    /// One of this version's codes.
    Known(Code),
    /// The slug that another version stored.
    Unknown(String),
}

impl FailureCode {
    /// The code, [`Code::UnknownCode`] for one of another version.
    pub fn code(&self) -> Code {
        match self {
            Self::Known(code) => *code,
            Self::Unknown(_) => Code::UnknownCode,
        }
    }

    /// The slug as it is stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.slug(),
            Self::Unknown(slug) => slug,
        }
    }

    /// The slug of another version, where this version does not know it.
    pub fn recorded(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(slug) => Some(slug),
        }
    }
}

impl From<Code> for FailureCode {
    fn from(code: Code) -> Self {
        Self::Known(code)
    }
}

impl PartialEq<Code> for FailureCode {
    fn eq(&self, other: &Code) -> bool {
        *self == Self::Known(*other)
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for FailureCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for FailureCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slug = String::deserialize(deserializer)?;
        Ok(Code::parse(&slug).map_or(Self::Unknown(slug), Self::Known))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_code_is_stored_as_its_slug_and_read_again() {
        for code in Code::ALL {
            let text = serde_json::to_string(&FailureCode::from(*code)).unwrap();
            assert_eq!(text, format!("{:?}", code.slug()));
            assert_eq!(serde_json::from_str::<FailureCode>(&text).unwrap(), *code);
        }
    }

    #[test]
    fn a_code_of_a_newer_version_can_be_read_and_is_stored_again_as_it_was() {
        let stored =
            r#"{"step":"image","code":"moon-phase-wrong","message":"m","likelyCause":"c","next":"n","log":[]}"#;
        let failure: Failure = serde_json::from_str(stored).unwrap();
        assert_eq!((failure.code.code(), failure.code.recorded()), (Code::UnknownCode, Some("moon-phase-wrong")));
        assert_ne!(failure.code, Code::UnknownCode, "it is not this version's own code");
        assert_eq!(serde_json::to_string(&failure).unwrap(), stored);
    }
}
