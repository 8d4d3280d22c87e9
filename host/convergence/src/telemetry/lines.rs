//! Lines of a log that go somewhere that may be full, closed or slow. A line that cannot be written soon is dropped and
//! counted: whatever becomes of the log, the server goes on. How many were lost is the first line once writing works again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How long a line waits for a reader that is slow. The thread that logs waits with it, so after one that waited in vain the next ones
/// do not wait, until something can be written again.
const PATIENCE: Duration = Duration::from_millis(100);
/// What a pipe that can take anything takes without waiting.
const PIECE: usize = 4096;

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Lines {
    to: OwnedFd,
    /// The line that tells how many were lost.
    note: fn(u64) -> String,
    lost: Arc<AtomicU64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the lines that were lost, those that were told of.
    told: u64,
    /// The last line was cut off in the middle.
    torn: bool,
    /// The last line waited in vain.
    stalled: bool,
}

impl Lines {
    /// Lines to a file, a pipe or a terminal.
    pub(crate) fn to(to: OwnedFd, note: fn(u64) -> String) -> Self {
        Self { to, note, lost: Arc::default(), state: Mutex::default() }
    }

    /// How many lines were lost so far, now and later.
    pub(crate) fn lost(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }

    fn put(&self, line: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = self.lost.load(Ordering::Relaxed);
        let untold = lost.saturating_sub(state.told);
        if untold > 0 {
            if !self.write(&mut state, (self.note)(untold).as_bytes()) {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            state.told = lost;
        }
        if !self.write(&mut state, line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether all of it was written.
    fn write(&self, state: &mut State, text: &[u8]) -> bool {
        let until = Instant::now() + if state.stalled { Duration::ZERO } else { PATIENCE };
        let end: &[u8] = if state.torn { b"\n" } else { b"" };
        let text = [end, text].concat();
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let piece = rest.get(..PIECE).unwrap_or(rest);
            let written =
                if self.takes_more(until) { rustix::io::write(&self.to, piece) } else { Err(Errno::TIMEDOUT) };
            match written {
                // A file that is full at this moment takes nothing, and does not call that an error.
                Ok(0) => return self.cut_off(state, rest.len() < text.len(), false),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                // Somebody who shares a pipe with us made it one that refuses instead of waiting.
                Err(Errno::AGAIN) if Instant::now() < until => {}
                Err(error) => {
                    let stalled = matches!(error, Errno::TIMEDOUT | Errno::AGAIN);
                    return self.cut_off(state, rest.len() < text.len(), stalled);
                }
            }
        }
        *state = State { told: state.told, torn: false, stalled: false };
        true
    }

    /// Remembers how it was left; nothing more is written of this line.
    fn cut_off(&self, state: &mut State, begun: bool, stalled: bool) -> bool {
        state.torn = state.torn || begun;
        state.stalled = stalled;
        false
    }

    /// Waits until something can be written, or writing will say why not.
    fn takes_more(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(left.min(PATIENCE).subsec_nanos()) };
        let mut to = [PollFd::from_borrowed_fd(self.to.as_fd(), PollFlags::OUT)];
        match poll(&mut to, Some(&wait)) {
            Ok(ready) => ready > 0,
            // An interruption, or a system that cannot say: the write does.
            Err(_) => true,
        }
    }
}

/// Takes a whole line at once, as the subscriber hands it over, and always succeeds.
impl io::Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::OpenOptions;
    use std::io::{Read, Write};

    use super::*;

    fn note(lost: u64) -> String {
        format!("{lost} lost\n")
    }

    fn log(lines: &Lines, text: &str) {
        let mut to = lines;
        to.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_reader_that_stalls_costs_lines_and_little_time_and_is_told_how_many() {
        let (mut reader, writer) = io::pipe().unwrap();
        let lines = Lines::to(writer.into(), note);
        let lost = lines.lost();
        let line = format!("{}\n", "x".repeat(6000));
        let began = Instant::now();
        while lost.load(Ordering::Relaxed) < 50 {
            log(&lines, &line);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "only the first one waits: {:?}", began.elapsed());
        // The reader comes back, and reads until there is nothing at the moment.
        let mut text = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while let mut readable = [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)]
            && poll(&mut readable, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
        {
            let count = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..count]);
        }
        log(&lines, "after\n");
        drop(lines);
        reader.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let end: Vec<&str> = text.lines().rev().take(2).collect();
        assert_eq!(end, ["after", "50 lost"]);
        let whole = text.lines().filter(|found| found.len() == 6000).count();
        let torn = text.lines().filter(|found| found.starts_with('x') && found.len() < 6000).count();
        assert!(whole > 0 && torn <= 1, "{whole} whole and {torn} torn");
    }

    #[test]
    fn a_full_disk_and_a_reader_that_is_gone_cost_every_line_and_nothing_else() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        for to in [OwnedFd::from(full), writer.into()] {
            let lines = Lines::to(to, note);
            for _ in 0..10 {
                log(&lines, "a line\n");
            }
            assert_eq!(lines.lost().load(Ordering::Relaxed), 10);
        }
    }

    #[test]
    fn what_can_be_written_is_written_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = Lines::to(file.reopen().unwrap().into(), note);
        let long = format!("{}\n", "y".repeat(100_000));
        log(&lines, "one\n");
        log(&lines, &long);
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), format!("one\n{long}"));
        assert_eq!(lines.lost().load(Ordering::Relaxed), 0);
    }
}
