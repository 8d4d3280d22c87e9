//! What containers print.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::connect::{Docker, bounded};
use crate::error::RuntimeError;
use crate::runtime::{LogLine, LogQuery, LogSource, LogStream};

/// Bytes of one line; what is longer comes as several.
const LONGEST_LINE: usize = 64 * 1024;
/// Lines of one answer that is not a stream.
const MOST_LINES: usize = 10_000;
/// Bytes of one answer that is not a stream.
const MOST_BYTES: usize = 4 * 1024 * 1024;

impl Docker {
    pub(super) async fn read_logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError> {
        let limit = self.config.call_limit;
        let most = query.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(MOST_LINES).min(MOST_LINES);
        let read = async {
            let mut stream = self.open_logs(name, query, false).await?;
            let mut lines = VecDeque::new();
            let mut bytes = 0usize;
            while let Some(line) = stream.next().await {
                let line = line?;
                bytes = bytes.saturating_add(line.text.len());
                lines.push_back(line);
                // The newest are wanted: the oldest make room.
                while lines.len() > most || bytes > MOST_BYTES {
                    let Some(oldest) = lines.pop_front() else { break };
                    bytes = bytes.saturating_sub(oldest.text.len());
                }
            }
            Ok(lines.into())
        };
        match tokio::time::timeout(limit, read).await {
            Ok(lines) => lines,
            Err(_) => Err(RuntimeError::Timeout { what: format!("read the logs of {name}"), after: limit }),
        }
    }

    pub(super) async fn open_logs(
        &self,
        name: &str,
        query: &LogQuery,
        follow: bool,
    ) -> Result<LogStream, RuntimeError> {
        // A stream cannot answer 404 before its first line; ask first.
        if self.look(name).await?.is_none() {
            return Err(RuntimeError::NotFound { what: format!("container {name}") });
        }
        let client = self.client().await.map_err(|fault| fault.into_error(self))?;
        let mut options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(follow)
            // Always asked for: the engine selects by whole seconds, and we by what was asked.
            .timestamps(query.timestamps || query.since.is_some())
            .tail(&query.tail.map_or_else(|| "all".to_owned(), |tail| tail.to_string()));
        if let Some(since) = query.since {
            options = options.since(i32::try_from(since.as_second()).unwrap_or_default());
        }
        let decoder = Decoder { query: query.clone(), stdout: Line::default(), stderr: Line::default() };
        let chunks = Box::pin(client.logs(name, Some(options.build())));
        let (socket, what) = (self.socket(), format!("read the logs of {name}"));
        let lines = stream::unfold(Some((chunks, decoder)), move |state| {
            let (socket, what) = (socket.clone(), what.clone());
            async move {
                let (mut chunks, mut decoder) = state?;
                match chunks.next().await {
                    Some(Ok(chunk)) => {
                        let lines = decoder.take(chunk);
                        Some((lines, Some((chunks, decoder))))
                    }
                    Some(Err(error)) => {
                        let mut lines = decoder.finish();
                        lines.push(Err(broken(error, socket, &what)));
                        Some((lines, None))
                    }
                    None => Some((decoder.finish(), None)),
                }
            }
        });
        Ok(Box::pin(lines.flat_map(stream::iter)))
    }
}

/// The error of a stream, which has no [`Docker`] to ask.
fn broken(error: bollard::errors::Error, socket: String, what: &str) -> RuntimeError {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code: 404, .. } => {
            RuntimeError::NotFound { what: "container of that name any more".to_owned() }
        }
        bollard::errors::Error::DockerResponseServerError { status_code: status, message } => {
            RuntimeError::Engine { status, message: bounded(&message) }
        }
        other => RuntimeError::Unreachable {
            socket,
            cause: format!("could not {what}: {other}"),
            hint: "the engine may be restarting; try again".to_owned(),
        },
    }
}

/// Puts lines together: a chunk of the engine is usually one, a long line comes in several.
struct Decoder {
    query: LogQuery,
    stdout: Line,
    stderr: Line,
}

#[derive(Default)]
struct Line {
    at: Option<Timestamp>,
    bytes: Vec<u8>,
}

impl Decoder {
    fn take(&mut self, chunk: LogOutput) -> Vec<Result<LogLine, RuntimeError>> {
        let (source, message) = match chunk {
            LogOutput::StdErr { message } => (LogSource::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => (LogSource::Stdout, message),
            LogOutput::StdIn { .. } => return Vec::new(),
        };
        let mut lines = Vec::new();
        let stamped = self.query.timestamps || self.query.since.is_some();
        for piece in message.split_inclusive(|byte| *byte == b'\n') {
            let (at, text) = if stamped { split_stamp(piece) } else { (None, piece) };
            let line = self.line(source);
            if line.bytes.is_empty() {
                line.at = at;
            }
            let (text, ends) = match text.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (text, false),
            };
            line.bytes.extend_from_slice(text);
            if ends || line.bytes.len() >= LONGEST_LINE {
                lines.extend(self.flush(source));
            }
        }
        lines
    }

    fn finish(&mut self) -> Vec<Result<LogLine, RuntimeError>> {
        let mut lines = Vec::new();
        for source in [LogSource::Stdout, LogSource::Stderr] {
            if !self.line(source).bytes.is_empty() {
                lines.extend(self.flush(source));
            }
        }
        lines
    }

    fn line(&mut self, source: LogSource) -> &mut Line {
        match source {
            LogSource::Stdout => &mut self.stdout,
            LogSource::Stderr => &mut self.stderr,
        }
    }

    fn flush(&mut self, source: LogSource) -> Option<Result<LogLine, RuntimeError>> {
        let line = std::mem::take(self.line(source));
        if let (Some(since), Some(at)) = (self.query.since, line.at)
            && at < since
        {
            return None;
        }
        let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(&line.bytes);
        let text = String::from_utf8_lossy(bytes).into_owned();
        Some(Ok(LogLine { source, at: line.at.filter(|_| self.query.timestamps), text }))
    }
}

/// `2026-11-22T06:00:00.000000000Z text`, as the engine stamps every chunk.
fn split_stamp(piece: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(end) = piece.iter().take(40).position(|byte| *byte == b' ') else { return (None, piece) };
    let (stamp, rest) = piece.split_at(end);
    match std::str::from_utf8(stamp).ok().and_then(|stamp| stamp.parse().ok()) {
        Some(at) => (Some(at), rest.strip_prefix(b" ").unwrap_or(rest)),
        None => (None, piece),
    }
}

#[cfg(test)]
mod tests {
    //! How chunks become lines.
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn lines(query: LogQuery, chunks: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder { query, stdout: Line::default(), stderr: Line::default() };
        let mut lines = Vec::new();
        for chunk in chunks {
            lines.extend(decoder.take(LogOutput::StdOut { message: chunk.to_vec().into() }));
        }
        lines.extend(decoder.finish());
        lines.into_iter().map(|line| line.unwrap().text).collect()
    }

    #[test]
    fn chunks_are_cut_and_joined_at_line_breaks() {
        let plain = LogQuery::default();
        assert_eq!(lines(plain.clone(), &[b"a\nb", b"c\r\n", b"\xffd"]), ["a", "bc", "\u{fffd}d"]);
        let endless = vec![b'x'; LONGEST_LINE];
        assert_eq!(lines(plain, &[&endless, b"y\n"]).len(), 2);
    }

    #[test]
    fn older_lines_of_the_same_second_are_left_out() {
        let query = LogQuery { since: Some("2026-01-01T00:00:00.5Z".parse().unwrap()), ..LogQuery::default() };
        let chunks: [&[u8]; 2] = [b"2026-01-01T00:00:00.400000000Z old\n", b"2026-01-01T00:00:00.600000000Z new one\n"];
        assert_eq!(lines(query, &chunks), ["new one"]);
    }
}
