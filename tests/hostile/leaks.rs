//! What this process holds, to see that nothing is left over.

use std::fs;
use std::path::Path;

/// What the system says of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) threads: usize,
    pub(crate) descriptors: usize,
    pub(crate) children: usize,
}

/// Looks now.
pub(crate) fn held() -> Held {
    // The listing itself is one descriptor.
    Held {
        threads: count("/proc/self/task"),
        descriptors: count("/proc/self/fd").saturating_sub(1),
        children: children(),
    }
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Processes whose parent is this one, those that have ended and were not waited for included.
fn children() -> usize {
    let own = std::process::id().to_string();
    let mut found = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        found += usize::from(parent(&entry.path()).is_some_and(|parent| parent == own));
    }
    found
}

/// The fourth field of `stat`, after a name in parentheses that may hold anything.
fn parent(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1).map(str::to_owned)
}
