//! What is wrong with one field of an input, in words its author can act on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a violation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The request is refused.
    Deny,
    /// The request goes on; the warning is reported with the answer.
    Warn,
}

/// One thing wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The field as its author wrote it, for example `limits.memoryMb` or `plan.stages[0].steps[2].run.argv`.
    pub path: String,
    /// A stable slug for programs, for example `too-long`.
    pub code: String,
    /// What was wrong and what to do, human-readable.
    pub message: String,
    /// Whether it refuses the request.
    pub severity: Severity,
    /// The id of the policy that says so; none where it is the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

impl Violation {
    /// A violation that refuses the request.
    pub fn deny(path: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), code: code.into(), message: message.into(), severity: Severity::Deny, policy: None }
    }

    /// The field, in words: what is wrong with the whole body has no path.
    #[must_use]
    pub fn place(&self) -> &str {
        if self.path.is_empty() { "the body" } else { &self.path }
    }

    /// The same, said by a policy.
    #[must_use]
    pub fn by(self, policy: &str) -> Self {
        Self { policy: Some(policy.to_owned()), ..self }
    }
}

impl fmt::Display for Violation {
    /// `name: choose another one (policy `no-shouting`)`, as people are told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)?;
        match &self.policy {
            Some(policy) => write!(f, " (policy `{policy}`)"),
            None => Ok(()),
        }
    }
}
