//! Times and memory, and how they are shown.

use std::fs;
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;

/// The middle of what was measured, and its tail.
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Percentiles {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

/// The middle alone.
pub(crate) fn median(times: Vec<Duration>) -> Duration {
    Percentiles::of(times).p50
}

/// How long something takes, with what it gives.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let made = work();
    (made, begun.elapsed())
}

pub(crate) fn ratio(ours: Duration, bare: Duration) -> f64 {
    ours.as_secs_f64() / bare.as_secs_f64()
}

/// In the unit that suits it.
pub(crate) fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1e-3 => format!("{:.1}µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.2}ms", seconds * 1e3),
        seconds => format!("{seconds:.2}s"),
    }
}

pub(crate) fn mib(bytes: f64) -> String {
    format!("{:.2}MiB", bytes / MIB)
}

/// Bytes of this process that are resident, now and at the most there ever were.
pub(crate) fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/status").expect("Linux tells how much memory a process has");
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
        line.split_ascii_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Files this process has open.
pub(crate) fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
