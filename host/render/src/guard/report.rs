//! Collects what is wrong, bounded: a plan wrong in a million ways must not make a million messages.

use convergence_model::Violation;

/// Violations reported for one plan.
const REPORTED_MAX: usize = 100;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    violations: Vec<Violation>,
}

impl Report {
    /// Adds a violation, unless there are too many already.
    pub(super) fn deny(&mut self, path: impl Into<String>, code: &'static str, message: impl Into<String>) {
        if self.violations.len() < REPORTED_MAX {
            self.violations.push(Violation::deny(path, code, message));
        }
    }

    /// Adds a violation where a rule was broken.
    pub(super) fn rule(&mut self, path: &str, rule: Result<(), Broken>) {
        if let Err(Broken { code, message }) = rule {
            self.deny(path, code, message);
        }
    }

    pub(super) fn into_violations(self) -> Vec<Violation> {
        self.violations
    }
}

/// A rule that was broken, without the field it was broken by.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Broken {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Untrusted text in a message: shortened, quoted, and without anything a terminal would act on.
pub(super) fn excerpt(text: &str) -> String {
    let head: String = text.chars().take(60).collect();
    let more = if head.len() < text.len() { "…" } else { "" };
    format!("\"{}\"{more}", head.escape_debug())
}
