//! Running an author's tools.

use std::io::{self, ErrorKind};
use std::process::{Command, Stdio};

use super::BuildError;

/// Runs a tool with everything it says on standard error: standard output belongs to our own result.
///
/// # Errors
///
/// It is not there, for which `install` says what to do; or it failed.
pub(super) fn run(command: &mut Command, install: &str) -> Result<(), BuildError> {
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    let status = status.map_err(|error| cannot_start(command, &error, install))?;
    if status.success() { Ok(()) } else { Err(failed(command, &status.to_string())) }
}

/// Runs a tool for what it prints; its messages go to standard error.
///
/// # Errors
///
/// As [`run`]; or it printed something other than text.
pub(super) fn capture(command: &mut Command, install: &str) -> Result<String, BuildError> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| cannot_start(command, &error, install))?;
    if !output.status.success() {
        return Err(failed(command, &output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|_| BuildError::Tool {
        command: shown(command),
        reason: "printed something other than text".to_owned(),
    })
}

/// Runs a tool only to see what it prints; none where it is not there or does not succeed.
pub(super) fn probe(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a person would type it, near enough.
pub(super) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn cannot_start(command: &Command, error: &io::Error, install: &str) -> BuildError {
    if error.kind() == ErrorKind::NotFound {
        let what = format!("`{}`", command.get_program().to_string_lossy());
        return BuildError::MissingTool { what, install: install.to_owned() };
    }
    BuildError::Tool { command: shown(command), reason: format!("cannot be started: {error}") }
}

fn failed(command: &Command, status: &str) -> BuildError {
    BuildError::ToolFailed { command: shown(command), status: status.to_owned() }
}
