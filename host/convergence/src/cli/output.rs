//! What is printed, human-readable or machine-readable.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use console::style;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;

use super::exit::Failure;
pub(crate) use super::table::table;
use super::terminal::{self, visible, visible_in_colour, visible_lines};

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
        !self.json && terminal::can_draw()
    }

    /// The result of a command: machine-readable with `--json`, else human-readable.
    pub(crate) fn result(self, document: &Value, text: impl FnOnce() -> String) {
        let shown = if self.json { format!("{document:#}") } else { visible_lines(&text()) };
        write_result(&shown);
    }

    /// A line that an application printed. On a terminal its colours are obeyed and no other control character is; a file
    /// or a pipe gets it as it was printed.
    pub(crate) fn line(self, text: &str, raw: bool) {
        if raw || !io::stdout().is_terminal() {
            return write_result(text);
        }
        // Many programs end lines as Windows does, and that moves nothing.
        write_result(&visible_in_colour(text.strip_suffix('\r').unwrap_or(text)));
    }

    /// A line of a stream that is about something that has not ended: machine-readable with `--json`, else human-readable.
    pub(crate) fn news(self, document: &Value, text: impl FnOnce() -> String) {
        let shown = if self.json { document.to_string() } else { visible(&text()) };
        write_result(&shown);
    }

    /// What is going on; left out of machine-readable output.
    pub(crate) fn progress(self, text: &str) {
        if !self.json {
            complain(text);
        }
    }

    /// Why a command did not succeed.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let document = match failure {
                // Its document is printed already.
                Failure::BadNews(_) if UNWRITTEN.get().is_none() => return,
                Failure::BadNews(text) => return complain(text),
                Failure::Problem(_, document) => document.clone(),
                Failure::Pending(_, document) | Failure::Interrupted(_, document) if !document.is_null() => {
                    document.clone()
                }
                Failure::Failed(text)
                | Failure::Usage(text)
                | Failure::Unreachable(text)
                | Failure::Pending(text, _)
                | Failure::Interrupted(text, _) => serde_json::json!({ "error": text }),
            };
            return write_line(&mut io::stdout().lock(), &format!("{document:#}"));
        }
        match failure {
            Failure::BadNews(text) => complain(text),
            Failure::Pending(text, document) | Failure::Interrupted(text, document) => {
                // What cannot be asked for again is a result, whatever became of the rest.
                if let Some(tenant) = document.get("tenant") {
                    write_result(&visible_lines(&super::spawn::accepted(tenant)));
                }
                complain(text);
            }
            Failure::Failed(text) | Failure::Usage(text) | Failure::Unreachable(text) => error(text),
            Failure::Problem(status, problem) => error(&explain(*status, problem)),
        }
    }
}

fn error(text: &str) {
    let shown = format!("{} {}", style("error:").red().bold().for_stderr(), visible_lines(text));
    write_line(&mut io::stderr().lock(), &shown);
}

fn complain(text: &str) {
    write_line(&mut io::stderr().lock(), &visible_lines(text));
}

fn explain(status: u16, problem: &Value) -> String {
    let text = |key: &str| problem.get(key).and_then(Value::as_str);
    let list = |key: &str| problem.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut lines = vec![text("detail").unwrap_or("the server gave no reason").to_owned()];
    if let violations @ [_, _, ..] = list("violations") {
        for violation in violations {
            let part = |key: &str| violation.get(key).and_then(Value::as_str).unwrap_or_default();
            let policy = Some(part("policy")).filter(|policy| !policy.is_empty());
            let policy = policy.map(|policy| format!(" (policy `{policy}`)")).unwrap_or_default();
            lines.push(format!("  {}: {}{policy}", part("path"), part("message")));
        }
    }
    let log = list("log");
    if !log.is_empty() {
        lines.push("last lines:".to_owned());
        lines.extend(log.iter().filter_map(Value::as_str).map(|line| format!("  | {line}")));
    }
    if let Some(name) = text("didYouMean") {
        lines.push(format!("did you mean `{name}`?"));
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

/// Why a result could not be written to standard output, if one could not.
static UNWRITTEN: OnceLock<String> = OnceLock::new();

/// Whether the reader of standard output went away.
static READER_LEFT: AtomicBool = AtomicBool::new(false);

/// Whether the reader of standard output went away: there is nobody to go on for.
pub(crate) fn has_lost_its_reader() -> bool {
    READER_LEFT.load(Ordering::Relaxed)
}

/// Returns when the reader of standard output has gone away. A stream that is quiet writes nothing, and would not notice.
pub(crate) async fn reader_left() {
    loop {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let told = poll(&mut watched, Some(&at_once)).is_ok_and(|told| told > 0);
        if told && watched.iter().any(|watched| watched.revents().contains(PollFlags::ERR)) {
            READER_LEFT.store(true, Ordering::Relaxed);
            return;
        }
        tokio::time::sleep(READER_LOOK).await;
    }
}

/// Between two looks whether there still is a reader.
const READER_LOOK: Duration = Duration::from_millis(200);

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
        not_written(&error);
    }
}

/// Remembers that a result, or a help text, did not get to where it should.
pub(crate) fn not_written(error: &io::Error) {
    // A reader that went away (`| head`) is not an error worth a word.
    if error.kind() == ErrorKind::BrokenPipe {
        READER_LEFT.store(true, Ordering::Relaxed);
    } else {
        UNWRITTEN.set(error.to_string()).ok();
    }
}

/// Progress and failures are not what a command is for: where they cannot be written, it goes on.
fn write_line(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
