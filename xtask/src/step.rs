//! Steps of a chore: each announced, timed, and summed up at the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of one chore.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration, bool)>,
    memory: Option<Memory>,
}

/// How long each step took last time, and the file that keeps it.
#[derive(Debug)]
struct Memory {
    file: PathBuf,
    seconds: BTreeMap<String, f64>,
}

impl Steps {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), done: Vec::new(), memory: None }
    }

    /// The same, and each step is announced with the time it took when `file` was written.
    pub(crate) fn remembering(file: PathBuf) -> Self {
        // A file that cannot be read costs a hint, no more.
        let text = fs::read_to_string(&file).unwrap_or_default();
        let seconds = serde_json::from_str(&text).unwrap_or_default();
        Self { memory: Some(Memory { file, seconds }), ..Self::new() }
    }

    /// Announces a step, runs it and says how long it took.
    pub(crate) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let last = self.memory.as_ref().and_then(|memory| memory.seconds.get(name));
        let last = last.and_then(|took| Duration::try_from_secs_f64(*took).ok());
        let hint = last.map(|took| format!(" ({} last time)", seconds(took))).unwrap_or_default();
        println!("==> {name}{hint}");
        let started = Instant::now();
        let outcome = step();
        let took = started.elapsed();
        let word = if outcome.is_ok() { "done in" } else { "FAILED after" };
        println!("    {word} {}", seconds(took));
        self.done.push((name.to_owned(), took, outcome.is_ok()));
        if let (Ok(_), Some(memory)) = (&outcome, &mut self.memory) {
            memory.keep(name, took);
        }
        outcome
    }

    /// Prints where the time went.
    pub(crate) fn summary(&self) {
        println!("\nWhere the time went:");
        for (name, took, well) in &self.done {
            println!("  {:>9}  {name}{}", seconds(*took), if *well { "" } else { "  FAILED" });
        }
        println!("  {:>9}  in all", seconds(self.started.elapsed()));
    }
}

impl Memory {
    fn keep(&mut self, name: &str, took: Duration) {
        self.seconds.insert(name.to_owned(), took.as_secs_f64());
        let text = serde_json::to_string_pretty(&self.seconds).unwrap_or_default();
        // The folder may not be there yet; then the next step writes it all.
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder).ok();
        }
        fs::write(&self.file, text).ok();
    }
}

/// A duration, human-readable: tenths of a second, and minutes when there are many.
pub(crate) fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole >= 60 { format!("{}m {:02}s", whole / 60, whole % 60) } else { format!("{:.1}s", took.as_secs_f64()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_succeeded_is_remembered_for_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/steps.json");
        let mut steps = Steps::remembering(file.clone());
        steps.run("build", || Ok(())).unwrap();
        steps.run("start", || Err::<(), _>(anyhow::anyhow!("no"))).unwrap_err();
        let names: Vec<_> = Steps::remembering(file).memory.unwrap().seconds.into_keys().collect();
        assert_eq!(names, ["build"]);
    }
}
