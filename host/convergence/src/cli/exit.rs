//! Exit codes and what they mean. Scripts rely on them: they never change.

use serde_json::Value;

/// Shown under `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  it was tried and failed, or the server had an error
  2  the command line is wrong
  3  no server answers
  4  refused: a field is wrong, a policy refuses, a name is taken
  5  there is no such tenant
  6  accepted, but not finished within the time given";

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and failed; for people.
    Failed(String),
    /// The result, which is printed already, is bad news; a last word for people.
    BadNews(String),
    /// No server answers.
    Unreachable(String),
    /// The server answered with a problem.
    Problem(u16, Value),
    /// What goes on when the time given has run out; and what the server had answered.
    Pending(String, Value),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed(_) | Self::BadNews(_) => 1,
            Self::Unreachable(_) => 3,
            // A step that failed was accepted and tried, whatever status says whose fault it was.
            Self::Problem(_, problem) if problem.get("step").is_some() => 1,
            Self::Problem(404, _) => 5,
            Self::Problem(400..=499, _) => 4,
            Self::Problem(..) => 1,
            Self::Pending(..) => 6,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scripts_can_tell_refused_from_failed_from_absent() {
        assert_eq!(Failure::Problem(422, json!({"code": "invalid"})).code(), 4);
        assert_eq!(Failure::Problem(422, json!({"code": "build-failed", "step": "image"})).code(), 1);
        assert_eq!(Failure::Problem(404, json!({})).code(), 5);
        assert_eq!(Failure::Problem(503, json!({})).code(), 1);
        assert_eq!(Failure::Unreachable(String::new()).code(), 3);
    }
}
