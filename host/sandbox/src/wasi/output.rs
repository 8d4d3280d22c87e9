//! Standard output and error of a guest: lines of its log, in its bounds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncWrite, empty};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use crate::config::CallLimits;
use crate::guest_log::{GuestLog, LogLevel};

/// Bytes a guest may write at once. Toolchains write 4 KiB at a time.
const PERMIT: usize = 64 << 10;
/// Lines of standard error that are kept to explain a fault: a traceback of a deep call.
const KEPT_LINES: usize = 40;

/// What a call has printed and its log does not hold yet.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<Printed>>);

struct Printed {
    /// Bytes that may still be printed: each write costs the host more than the guest.
    left: usize,
    max_lines: usize,
    max_line_bytes: usize,
    lines: Vec<(LogLevel, String)>,
    /// Lines beyond the bounds of the log, of which only the number is wanted.
    beyond: u64,
    stdout: Line,
    stderr: Line,
    end_of_stderr: VecDeque<String>,
}

/// A line that has not ended.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
}

impl Output {
    pub(super) fn new(limits: &CallLimits) -> Self {
        let (max_lines, max_line_bytes) = (limits.log_lines, limits.log_line_bytes);
        Self(Arc::new(Mutex::new(Printed {
            left: limits.output_bytes,
            max_lines,
            max_line_bytes,
            lines: Vec::new(),
            beyond: 0,
            stdout: Line::default(),
            stderr: Line::default(),
            end_of_stderr: VecDeque::new(),
        })))
    }

    fn printed(&self) -> MutexGuard<'_, Printed> {
        // Nothing is behind the lock that a panic could have left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves everything to the log, unfinished lines included.
    pub(super) fn move_to(&self, log: &mut GuestLog) {
        let mut printed = self.printed();
        for level in [LogLevel::Info, LogLevel::Warn] {
            if !printed.line(level).bytes.is_empty() {
                printed.end_line(level);
            }
        }
        for (level, line) in printed.lines.drain(..) {
            log.write(level, &line);
        }
        log.dropped = log.dropped.saturating_add(std::mem::take(&mut printed.beyond));
    }

    pub(super) fn end_of_stderr(&self) -> Option<String> {
        let printed = self.printed();
        let text = printed.end_of_stderr.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        (!text.trim().is_empty()).then_some(text)
    }

    fn write(&self, level: LogLevel, bytes: &[u8]) -> Result<(), PrintedTooMuch> {
        let mut printed = self.printed();
        printed.left = printed.left.checked_sub(bytes.len()).ok_or(PrintedTooMuch)?;
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end);
            printed.append(level, line);
            printed.end_line(level);
            rest = after.get(1..).unwrap_or_default();
        }
        printed.append(level, rest);
        Ok(())
    }
}

/// Marks the error with which a guest is stopped that prints more than it may.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the guest prints more than it may")]
pub(crate) struct PrintedTooMuch;

impl Printed {
    fn line(&mut self, level: LogLevel) -> &mut Line {
        if level == LogLevel::Warn { &mut self.stderr } else { &mut self.stdout }
    }

    /// Keeps one byte more than a line of the log may have, so that the log sees that it was cut.
    fn append(&mut self, level: LogLevel, bytes: &[u8]) {
        let max = self.max_line_bytes.saturating_add(1);
        let line = self.line(level);
        let room = max.saturating_sub(line.bytes.len()).min(bytes.len());
        line.bytes.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn end_line(&mut self, level: LogLevel) {
        let bytes = std::mem::take(&mut self.line(level).bytes);
        let text = String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned();
        if level == LogLevel::Warn {
            if self.end_of_stderr.len() == KEPT_LINES {
                self.end_of_stderr.pop_front();
            }
            self.end_of_stderr.push_back(text.clone());
        }
        if text.trim().is_empty() {
            return;
        }
        if self.lines.len() < self.max_lines {
            self.lines.push((level, text));
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }
}

/// Standard output of a guest.
pub(super) struct Stdout(pub(super) Output);

/// Standard error of a guest.
pub(super) struct Stderr(pub(super) Output);

impl IsTerminal for Stdout {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl IsTerminal for Stderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdout {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream { output: self.0.clone(), level: LogLevel::Info })
    }

    // Only WASI 0.3 asks for this one.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(empty())
    }
}

impl StdoutStream for Stderr {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Stream { output: self.0.clone(), level: LogLevel::Warn })
    }

    // Only WASI 0.3 asks for this one.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(empty())
    }
}

/// A stream that is always ready.
struct Stream {
    output: Output,
    level: LogLevel,
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.write(self.level, &bytes).map_err(|error| StreamError::Trap(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn output(log_lines: usize, log_line_bytes: usize) -> Output {
        Output::new(&CallLimits { log_lines, log_line_bytes, output_bytes: 1 << 20, ..CallLimits::default() })
    }

    #[test]
    fn output_becomes_lines_whatever_the_pieces() {
        let output = output(10, 20);
        output.write(LogLevel::Info, b"one\ntw").unwrap();
        output.write(LogLevel::Warn, b"Traceback\r\n\n  ValueError: 7").unwrap();
        output.write(LogLevel::Info, b"o\n").unwrap();
        let mut log = GuestLog::new(10, 20);
        output.move_to(&mut log);
        let lines: Vec<_> = log.lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        let (info, warn) = (LogLevel::Info, LogLevel::Warn);
        assert_eq!(lines, [(info, "one"), (warn, "Traceback"), (info, "two"), (warn, "  ValueError: 7")]);
        assert_eq!(output.end_of_stderr().unwrap(), "Traceback\n\n  ValueError: 7");
    }

    #[test]
    fn a_flood_is_counted_and_not_kept() {
        let output = output(3, 8);
        for _ in 0..1000 {
            output.write(LogLevel::Info, b"line\n").unwrap();
            output.write(LogLevel::Warn, &[b'x'; 100]).unwrap();
        }
        let mut log = GuestLog::new(3, 8);
        output.move_to(&mut log);
        assert!(log.lines.len() <= 3, "{log:?}");
        assert!(log.dropped >= 997, "{log:?}");
        assert!(output.printed().stderr.bytes.len() <= 9);
    }

    #[test]
    fn printing_ends_where_it_costs_too_much() {
        let output = output(3, 8);
        output.write(LogLevel::Info, &[b'x'; 1 << 20]).unwrap();
        output.write(LogLevel::Info, b"").unwrap();
        output.write(LogLevel::Warn, b"x").unwrap_err();
    }
}
