//! What is printed, for people and for programs.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use serde_json::Value;

use super::exit::Failure;

/// Where results go: standard output. Progress and failures go to standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether a person watches progress as it happens.
    pub(crate) fn is_interactive(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// The result of a command: the document for programs, the text for people.
    pub(crate) fn result(self, document: &Value, text: impl FnOnce() -> String) {
        let shown = if self.json { format!("{document:#}") } else { text() };
        write_result(&shown);
    }

    /// A line of a stream, for example of a log.
    pub(crate) fn line(self, text: &str) {
        if io::stdout().is_terminal() { write_result(&printable(text)) } else { write_result(text) }
    }

    /// What is going on, for people only.
    pub(crate) fn progress(self, text: &str) {
        if !self.json {
            write_line(&mut io::stderr().lock(), &printable_lines(text));
        }
    }

    /// Why a command did not succeed.
    pub(crate) fn failure(self, failure: &Failure) {
        let text = match failure {
            Failure::BadNews(_) if self.json && UNWRITTEN.get().is_none() => return,
            Failure::BadNews(text) => text.clone(),
            Failure::Pending(_, accepted) if self.json => {
                return write_line(&mut io::stdout().lock(), &format!("{accepted:#}"));
            }
            Failure::Failed(text) | Failure::Unreachable(text) | Failure::Pending(text, _) => {
                if self.json {
                    let document = serde_json::json!({ "error": text });
                    return write_line(&mut io::stdout().lock(), &format!("{document:#}"));
                }
                format!("error: {text}")
            }
            Failure::Problem(_, problem) if self.json => {
                return write_line(&mut io::stdout().lock(), &format!("{problem:#}"));
            }
            Failure::Problem(status, problem) => explain(*status, problem),
        };
        write_line(&mut io::stderr().lock(), &printable_lines(&text));
    }
}

fn explain(status: u16, problem: &Value) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str);
    let list = |key: &str| problem.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut lines = vec![format!("error: {}", text("detail").unwrap_or("the server gave no reason"))];
    if let violations @ [_, _, ..] = list("violations") {
        for violation in violations {
            let part = |key: &str| violation.get(key).and_then(Value::as_str).unwrap_or_default();
            lines.push(format!("  {}: {}", part("path"), part("message")));
        }
    }
    let log = list("log");
    if !log.is_empty() {
        lines.push("last lines:".to_owned());
        lines.extend(log.iter().filter_map(Value::as_str).map(|line| format!("  | {line}")));
    }
    if let Some(cause) = text("likelyCause") {
        lines.push(format!("likely cause: {cause}"));
    }
    if let Some(next) = text("next") {
        lines.push(format!("next: {next}"));
    }
    if let Some(code) = text("recordedCode").or_else(|| text("code")) {
        lines.push(format!("code: {code}"));
    }
    if let (true, Some(id)) = (status >= 500, text("requestId")) {
        lines.push(format!("request id: {id}"));
    }
    lines.join("\n")
}

/// A stranger's text must not move the cursor or recolour the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// The same of several lines, whose breaks are ours.
pub(crate) fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// Why a result could not be written to standard output, if one could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// What became of the results of this process: a script must not take an empty file for an empty list.
///
/// # Errors
/// One could not be written, for another reason than a reader that had enough.
pub(crate) fn written() -> Result<(), Failure> {
    match UNWRITTEN.get() {
        None => Ok(()),
        Some(error) => Err(Failure::BadNews(format!("error: cannot write to standard output: {error}"))),
    }
}

/// Prints what a command is for.
pub(crate) fn write_result(text: &str) {
    let mut to = io::stdout().lock();
    if let Err(error) = writeln!(to, "{text}").and_then(|()| to.flush()) {
        // A reader that went away (`| head`) is not an error worth a word.
        if error.kind() != io::ErrorKind::BrokenPipe {
            UNWRITTEN.set(error.to_string()).ok();
        }
    }
}

/// Progress and failures are not what a command is for: where they cannot be written, it goes on.
fn write_line(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}

/// Columns, each as wide as its widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells = || rows.iter().map(|row| row.iter().map(String::as_str).collect::<Vec<_>>());
    let all: Vec<Vec<&str>> = std::iter::once(header.to_vec()).chain(cells()).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<&str>| {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_write_escape_sequences_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\tc\r"), "a\u{fffd}[31mb\tc\u{fffd}");
        assert_eq!(printable_lines("one\ntwo\u{1b}"), "one\ntwo\u{fffd}");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["1".to_owned(), "hello".to_owned()], vec!["22".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID  NAME\n1   hello\n22  x");
    }
}
