//! Exit codes and what they mean. Scripts rely on them: they never change.

use convergence_model::{Code, Exit};
use serde_json::Value;

/// As shells have it for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Shown under `--help`.
pub(crate) fn help() -> String {
    let line = |exit: &Exit| format!("\n  {}    {}", exit.number(), exit.summary());
    let lines: String = Exit::ALL.iter().map(line).collect();
    format!("Exit codes:{lines}\n  {INTERRUPTED}  interrupted; what the server has accepted continues")
}

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was tried and failed; human-readable.
    Failed(String),
    /// The result, which is printed already, is bad news; a last human-readable line.
    BadNews(String),
    /// The command line is wrong in a way that only the command itself could see.
    Usage(String),
    /// No server answers.
    Unreachable(String),
    /// The server answered with a problem.
    Problem(u16, Value),
    /// What continues although this command no longer waits for it; and what the server had answered.
    Pending(String, Value),
    /// The same where Ctrl-C ended the waiting.
    Interrupted(String, Value),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Interrupted(..) => INTERRUPTED,
            _ => self.exit().number(),
        }
    }

    fn exit(&self) -> Exit {
        let problem = match self {
            Self::Failed(_) | Self::BadNews(_) => return Exit::Failed,
            Self::Usage(_) => return Exit::Usage,
            Self::Unreachable(_) => return Exit::Unreachable,
            Self::Pending(..) | Self::Interrupted(..) => return Exit::Pending,
            Self::Problem(_, problem) => problem,
        };
        if let Some(code) = problem.get("code").and_then(Value::as_str).and_then(Code::parse) {
            return code.exit();
        }
        // A newer server has a code that this version does not know; the status says less, and enough.
        match self {
            // A step that failed was accepted and tried, whatever the status says.
            Self::Problem(..) if problem.get("step").is_some() => Exit::Failed,
            Self::Problem(404, _) => Exit::NotFound,
            Self::Problem(400..=499, _) => Exit::Refused,
            _ => Exit::Failed,
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
    fn every_code_of_the_server_ends_a_command_as_the_table_says() {
        for code in Code::ALL {
            let problem = Failure::Problem(code.status(), json!({ "code": code.slug() }));
            assert_eq!(problem.code(), code.exit().number(), "{code}");
        }
    }

    #[test]
    fn scripts_can_tell_refused_from_failed_from_absent() {
        assert_eq!(Failure::Problem(422, json!({"code": "invalid"})).code(), 4);
        assert_eq!(Failure::Problem(422, json!({"code": "build-failed", "step": "image"})).code(), 1);
        assert_eq!(Failure::Problem(404, json!({"code": "not-found"})).code(), 5);
        assert_eq!(Failure::Problem(503, json!({"code": "stopping"})).code(), 1);
        assert_eq!(Failure::Unreachable(String::new()).code(), 3);
        assert_eq!(Failure::Usage(String::new()).code(), 2);
        assert_eq!(Failure::Interrupted(String::new(), Value::Null).code(), 130);
    }

    #[test]
    fn a_code_of_a_newer_server_ends_a_command_by_its_status() {
        assert_eq!(Failure::Problem(422, json!({"code": "moon-phase-wrong"})).code(), 4);
        assert_eq!(Failure::Problem(422, json!({"code": "moon-phase-wrong", "step": "image"})).code(), 1);
        assert_eq!(Failure::Problem(404, json!({})).code(), 5);
        assert_eq!(Failure::Problem(502, json!({})).code(), 1);
    }

    #[test]
    fn help_lists_every_exit_code() {
        assert!(help().contains("\n  6    accepted, but not finished"), "{}", help());
    }
}
