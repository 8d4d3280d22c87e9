//! What benchmarks of containers share: a real server, the raw Docker API beside it, and how their times are compared.

pub(crate) mod bare;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bare::Bare;

/// Turns of each side where nobody says how many.
const TURNS: usize = 20;
/// Turns before those that count.
pub(crate) const WARM_UP: usize = 2;

/// Times by what was done in them.
pub(crate) type Phases = Vec<(String, Duration)>;

/// Runs a benchmark, and removes what it leaves in the engine even where it fails.
pub(crate) fn run<F>(measure: impl FnOnce(Bare) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bare = Bare::connect().await;
        bare.sweep().await;
        let outcome = tokio::spawn(measure(bare.clone())).await;
        bare.sweep().await;
        if let Err(panicked) = outcome {
            std::panic::resume_unwind(panicked.into_panic());
        }
    });
}

/// How often each side has its turn: a number that a variable says.
pub(crate) fn turns(variable: &str) -> usize {
    std::env::var(variable)
        .ok()
        .map_or(TURNS, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// The middle and the tail of several times.
pub(crate) struct Percentiles {
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
}

impl Percentiles {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { p50: times[times.len() / 2], p95: times[times.len() * 95 / 100] }
    }
}

/// Both sides and the ratio, as a line of the report has them.
pub(crate) fn compared(ours: &Percentiles, raw: &Percentiles) -> String {
    format!(
        "ours p50 {} p95 {} | raw p50 {} p95 {} | ratio p50 {:.2} p95 {:.2}",
        millis(ours.p50),
        millis(ours.p95),
        millis(raw.p50),
        millis(raw.p95),
        ours.p50.as_secs_f64() / raw.p50.as_secs_f64(),
        ours.p95.as_secs_f64() / raw.p95.as_secs_f64(),
    )
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1e3)
}

/// A file or folder the benchmark needs: from the environment, or where the chores of this repository put it.
fn prepared(variable: &str, usual: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(usual), PathBuf::from);
    assert!(path.exists(), "there is no {}: run `cargo xtask bench`, which makes it", path.display());
    path
}
