//! What this process holds, to see that nothing is left over.

use std::fs;
use std::path::Path;

/// What the system says of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// All threads.
    pub(crate) threads: usize,
    /// Threads on which a call of a guest runs.
    pub(crate) calls: usize,
    pub(crate) descriptors: usize,
    pub(crate) children: usize,
}

/// Looks now.
pub(crate) fn held() -> Held {
    let calls = entries("/proc/self/task")
        .filter(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim_end() == "plugin-call"));
    Held {
        threads: entries("/proc/self/task").count(),
        calls: calls.count(),
        // The listing itself is one of them.
        descriptors: entries("/proc/self/fd").count().saturating_sub(1),
        children: children(),
    }
}

/// Bytes of memory of this process that are in use.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() << 10
}

fn entries(folder: &str) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path())
}

/// Processes whose parent is this one, those that have ended and were not waited for included.
fn children() -> usize {
    let own = std::process::id().to_string();
    entries("/proc").filter(|process| parent(process).is_some_and(|parent| parent == own)).count()
}

/// The fourth field of `stat`, after a name in parentheses that may hold anything.
fn parent(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1).map(str::to_owned)
}
