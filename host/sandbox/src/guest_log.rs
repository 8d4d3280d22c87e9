//! What a guest writes for the operator, bounded.

use std::fmt;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For the plugin's author.
    Trace,
    /// What was decided and why.
    Debug,
    /// For a quiet day.
    Info,
    /// Worked, but not as it should.
    Warn,
    /// The call is about to fail; also the text of a panic.
    Error,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The text, without control characters.
    pub message: String,
}

/// The lines of one call.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestLog {
    /// In the order written.
    pub lines: Vec<LogLine>,
    /// How many more there were.
    pub dropped: u64,
    max_lines: usize,
    max_line_bytes: usize,
}

impl GuestLog {
    /// Keeps `max_lines` of `max_line_bytes` each.
    pub(crate) fn new(max_lines: usize, max_line_bytes: usize) -> Self {
        Self { lines: Vec::new(), dropped: 0, max_lines, max_line_bytes }
    }

    /// Adds a line. The last place is kept for an error, so that a chatty guest's panic is still seen.
    pub(crate) fn write(&mut self, level: LogLevel, message: &str) {
        let room = if level == LogLevel::Error { self.max_lines } else { self.max_lines.saturating_sub(1) };
        if self.lines.len() >= room {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        let kept = message.floor_char_boundary(self.max_line_bytes);
        let mut text: String = message
            .chars()
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= kept).then_some(if c.is_control() { ' ' } else { c })
            })
            .collect();
        if kept < message.len() {
            text.push('…');
        }
        self.lines.push(LogLine { level, message: text });
    }

    /// The last error: after a trap, the text of the panic.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.lines.iter().rev().find(|line| line.level == LogLevel::Error).map(|line| line.message.as_str())
    }

    /// Hands everything to the operator's log.
    pub(crate) fn emit(&self, plugin: &str, function: &str) {
        for line in &self.lines {
            let message = line.message.as_str();
            match line.level {
                LogLevel::Trace => tracing::trace!(target: "plugin", plugin, function, "{message}"),
                LogLevel::Debug => tracing::debug!(target: "plugin", plugin, function, "{message}"),
                LogLevel::Info => tracing::info!(target: "plugin", plugin, function, "{message}"),
                LogLevel::Warn => tracing::warn!(target: "plugin", plugin, function, "{message}"),
                LogLevel::Error => tracing::error!(target: "plugin", plugin, function, "{message}"),
            }
        }
        if self.dropped > 0 {
            let dropped = self.dropped;
            tracing::warn!(target: "plugin", plugin, function, "{dropped} more log lines were dropped");
        }
    }
}

impl fmt::Debug for GuestLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestLog").field("lines", &self.lines).field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_flood_keeps_the_first_lines_and_the_panic() {
        let mut log = GuestLog::new(3, 10);
        for _ in 0..5 {
            log.write(LogLevel::Info, "hello");
        }
        log.write(LogLevel::Error, "panicked");
        log.write(LogLevel::Error, "again");
        assert_eq!(log.lines.len(), 3);
        assert_eq!(log.dropped, 4);
        assert_eq!(log.last_error(), Some("panicked"));
    }

    #[test]
    fn lines_are_cut_between_characters_and_hold_no_control_characters() {
        let mut log = GuestLog::new(3, 10);
        log.write(LogLevel::Info, "123456789é and more");
        log.write(LogLevel::Info, "a\n\u{1b}[31mb");
        assert_eq!(log.lines[0].message, "123456789…");
        assert_eq!(log.lines[1].message, "a  [31mb");
    }
}
