//! What is seen of an operation while it is done: one line a step with its time; on a terminal, beneath the running step the
//! last line it printed. The whole output of a step is shown where it fails, and all along with `--verbose`.

use std::time::Duration;

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::age::{between, took};
use super::output::Output;
use super::terminal::visible;

/// Lines of a step that are kept for when it fails; the server keeps no more.
const LINES_KEPT: usize = 2000;

/// Shows the events of one operation.
pub(crate) struct Progress {
    output: Output,
    verbose: bool,
    /// On a terminal.
    bar: Option<ProgressBar>,
    /// When the step began, as the server wrote it down.
    started: String,
    /// What the step printed.
    lines: Vec<String>,
    failed_with_log: bool,
}

impl Progress {
    pub(crate) fn new(output: Output, verbose: bool) -> Self {
        let bar = output.is_interactive().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed}\n  {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix("waiting for a worker");
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { output, verbose, bar, started: String::new(), lines: Vec::new(), failed_with_log: false }
    }

    /// Shows what happened.
    pub(crate) fn event(&mut self, event: &Value) {
        let part = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        let (step, kind, at) = (part("step"), part("event"), part("at"));
        // A build prints whatever its programs print, and each line is one line here.
        let detail = visible(&part("detail").replace('\t', " "));
        match kind {
            "started" => {
                self.started = at.to_owned();
                self.lines.clear();
                self.failed_with_log = false;
                if let Some(bar) = &self.bar {
                    bar.set_prefix(visible(step));
                    bar.set_message("");
                    bar.reset_elapsed();
                }
            }
            "line" => self.line(detail),
            "done" => self.mark(true, step, "done", &self.time(at)),
            "failed" => {
                self.mark(false, step, "failed", &self.time(at));
                if !self.verbose {
                    let lines = std::mem::take(&mut self.lines);
                    self.failed_with_log = !lines.is_empty();
                    lines.iter().for_each(|line| self.say(&format!("  | {line}")));
                }
                self.failed_with_log |= self.verbose;
            }
            _ => self.mark(kind == "undone", step, kind, &detail),
        }
    }

    /// Whether the output of the step that failed is on the screen already.
    pub(crate) fn has_shown_the_log(&self) -> bool {
        self.failed_with_log && !self.output.is_json()
    }

    fn line(&mut self, line: String) {
        if self.verbose {
            return self.say(&format!("  | {line}"));
        }
        if let Some(bar) = &self.bar {
            bar.set_message(line.clone());
        }
        if self.lines.len() < LINES_KEPT {
            self.lines.push(line);
        }
    }

    fn time(&self, at: &str) -> String {
        between(&self.started, at).map(took).unwrap_or_default()
    }

    fn mark(&self, good: bool, step: &str, kind: &str, detail: &str) {
        let step = visible(step);
        if self.bar.is_none() {
            let text = match kind {
                "done" | "failed" if !detail.is_empty() => format!("{step}: {kind} after {detail}"),
                _ => format!("{step}: {kind} {detail}"),
            };
            return self.say(text.trim_end());
        }
        let sign = if good { style("✓").green() } else { style("✗").red() }.for_stderr();
        let text = match kind {
            "done" => format!("{sign} {step:10} {detail}"),
            _ => format!("{sign} {step:10} {kind} {detail}"),
        };
        self.say(text.trim_end());
    }

    /// A line that stays.
    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.output.progress(text),
        }
    }
}

/// How much of an upload was sent: a bar on a terminal, nothing elsewhere.
pub(crate) fn of_upload(output: Output, bytes: u64) -> ProgressBar {
    if !output.is_interactive() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {binary_bytes} of {binary_total_bytes}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

impl Drop for Progress {
    /// Also where Ctrl-C ends the watching.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
