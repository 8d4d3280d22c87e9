//! Where log lines go, and how they look.

mod lines;

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use convergence_model::ids::Clock;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::boot::SystemClock;
use crate::config::{Log, LogFormat, variable};
use lines::Lines;

/// Sends log lines to standard error. `RUST_LOG` wins over the configuration. Answers how many lines were lost, now and later.
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(log: &Log) -> Result<Arc<AtomicU64>> {
    let filter = match variable("RUST_LOG") {
        Some(filter) => EnvFilter::try_new(&filter).with_context(|| format!("`RUST_LOG={filter}` is wrong"))?,
        None => {
            EnvFilter::try_new(&log.filter).with_context(|| format!("`filter = {:?}` in [log] is wrong", log.filter))?
        }
    };
    let error = std::io::stderr();
    let to = error.as_fd().try_clone_to_owned().context("cannot use standard error for the log")?;
    let note = match log.format {
        LogFormat::Text => text_note,
        LogFormat::Json => json_note,
    };
    let to = Arc::new(Lines::to(to, note));
    let lost = to.lost();
    // An error of the writer would be printed to standard error, and that panics where nothing can be printed.
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(to).with_target(false).log_internal_errors(false);
    match log.format {
        LogFormat::Text => lines.with_ansi(error.is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(lost)
}

/// What is said first once lines can be written again.
const LOST: &str = "lines of the log could not be written before this one";

fn text_note(lost: u64) -> String {
    format!("{:.6}  WARN {LOST} lost={lost}\n", SystemClock.now())
}

fn json_note(lost: u64) -> String {
    let line =
        json!({ "timestamp": format!("{:.6}", SystemClock.now()), "level": "WARN", "message": LOST, "lost": lost });
    format!("{line}\n")
}
