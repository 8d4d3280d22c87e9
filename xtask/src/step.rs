//! Steps of a chore: each announced, timed, and summed up at the end.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of one chore.
#[derive(Debug)]
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration, bool)>,
}

impl Steps {
    /// Starts the clock.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), done: Vec::new() }
    }

    /// Announces a step, runs it and says how long it took.
    pub(crate) fn run<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = step();
        let took = started.elapsed();
        let word = if outcome.is_ok() { "done in" } else { "FAILED after" };
        println!("    {word} {}", seconds(took));
        self.done.push((name.to_owned(), took, outcome.is_ok()));
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

/// A duration for people: tenths of a second, and minutes when there are many.
pub(crate) fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole >= 60 { format!("{}m {:02}s", whole / 60, whole % 60) } else { format!("{:.1}s", took.as_secs_f64()) }
}
