//! `plugin bench`: what calls of a component take, each in a fresh instance as in a server.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convergence_plugin::{Case, check_configuration};
use convergence_sandbox::{CallReport, Component};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::subject::{Identity, Subject, SubjectError};
use crate::test::as_microseconds;

/// Calls of each case before anything is measured.
const WARM_UP: usize = 10;

/// What calls take.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BenchReport {
    /// The component.
    pub file: PathBuf,
    /// What it says that it is.
    pub plugin: Identity,
    /// Each case by itself, one call after the other.
    pub cases: Vec<CaseTimes>,
    /// Calls a second, all cases in turn, on all cores at once; with the conversion from and to JSON, which a server
    /// does not need.
    pub calls_per_second: f64,
    /// How many calls ran at the same time for that.
    pub at_once: usize,
    /// Whether this program was compiled with optimization. Without, times say little.
    pub optimized: bool,
}

/// What the calls of one case take.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseTimes {
    /// What it shows.
    pub name: String,
    /// How many calls were measured.
    pub calls: usize,
    /// Half of the calls took at most this.
    #[serde(serialize_with = "as_microseconds", rename = "p50Microseconds")]
    pub p50: Duration,
    /// 99 of 100 calls took at most this.
    #[serde(serialize_with = "as_microseconds", rename = "p99Microseconds")]
    pub p99: Duration,
    /// The longest.
    #[serde(serialize_with = "as_microseconds", rename = "maxMicroseconds")]
    pub max: Duration,
    /// Instructions of one call, roughly.
    pub fuel: u64,
    /// Bytes of linear memory of one call.
    pub memory_bytes: usize,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// There is nothing to measure.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A call has no answer.
    #[error("the case `{name}` has no answer, so there is nothing to measure: {reason}")]
    NoAnswer {
        /// Which.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Calls each case `calls` times (at least once) and measures. A case that is answered otherwise than expected is
/// measured all the same. Blocks while the component is compiled.
///
/// # Errors
///
/// There is nothing to measure, or a call has no answer.
pub async fn bench(subject: &Subject, calls: usize) -> Result<BenchReport, BenchError> {
    let calls = calls.max(1);
    let cases = subject.cases()?;
    let component = subject.load()?;
    let cases: Vec<Call> =
        cases.into_iter().map(|(_, case)| Call::prepare(&component, case)).collect::<Result<_, _>>()?;
    let mut times = Vec::new();
    for case in &cases {
        times.push(measure(&component, case, calls).await?);
    }
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let total = calls * cases.len();
    let started = Instant::now();
    all_at_once(&component, cases, total, at_once).await?;
    Ok(BenchReport {
        file: subject.file().to_owned(),
        plugin: Identity::of(&component),
        cases: times,
        calls_per_second: total as f64 / started.elapsed().as_secs_f64(),
        at_once,
        optimized: !cfg!(debug_assertions),
    })
}

/// A case, ready to be asked again and again.
struct Call {
    name: String,
    config: String,
    input: Value,
}

impl Call {
    fn prepare(component: &Component, case: Case) -> Result<Self, BenchError> {
        let Case { name, config, input, .. } = case;
        match check_configuration(&component.description().config_schema, Some(&config)) {
            Ok(config) => Ok(Self { name, config, input }),
            Err(reason) => Err(BenchError::NoAnswer { name, reason }),
        }
    }

    async fn ask(&self, component: &Component) -> Result<CallReport, BenchError> {
        let no_answer = |reason: String| BenchError::NoAnswer { name: self.name.clone(), reason };
        let asked = component.call_json(&self.config, &self.input).await;
        let reported = asked.map_err(|error| no_answer(error.to_string()))?;
        // A failure that the plugin foresaw is an answer.
        reported.result.map_err(|error| no_answer(error.to_string()))?;
        reported.report.ok_or_else(|| no_answer("there is no report of it".to_owned()))
    }
}

async fn measure(component: &Component, case: &Call, calls: usize) -> Result<CaseTimes, BenchError> {
    for _ in 0..WARM_UP {
        case.ask(component).await?;
    }
    let mut last = case.ask(component).await?;
    let mut durations = vec![last.duration];
    for _ in 1..calls {
        last = case.ask(component).await?;
        durations.push(last.duration);
    }
    durations.sort();
    Ok(CaseTimes {
        name: case.name.clone(),
        calls,
        p50: percentile(&durations, 50),
        p99: percentile(&durations, 99),
        max: percentile(&durations, 100),
        fuel: last.fuel_used,
        memory_bytes: last.memory_bytes,
    })
}

/// Workers that take the next call until there are none.
async fn all_at_once(component: &Component, cases: Vec<Call>, total: usize, workers: usize) -> Result<(), BenchError> {
    let (cases, next) = (Arc::new(cases), Arc::new(AtomicUsize::new(0)));
    let mut running: JoinSet<Result<(), BenchError>> = JoinSet::new();
    for _ in 0..workers {
        let (component, cases, next) = (component.clone(), Arc::clone(&cases), Arc::clone(&next));
        running.spawn(async move {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                match cases.get(turn % cases.len().max(1)) {
                    Some(case) if turn < total => case.ask(&component).await?,
                    _ => return Ok(()),
                };
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| BenchError::NoAnswer { name: "all".to_owned(), reason: error.to_string() })??;
    }
    Ok(())
}

/// The duration that so many of a hundred do not exceed. `sorted` is.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_micros(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_micros(198));
        assert_eq!(percentile(&sorted, 100), Duration::from_micros(200));
        assert_eq!(percentile(&sorted[..1], 50), Duration::from_micros(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
