//! What the engine knows of tenants' containers, kept for a second.
//!
//! To ask an engine takes milliseconds, and to measure a processor takes two readings: neither can be done for each of
//! thousands of requests. What the engine tells of a container makes its reading old at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use convergence_model::EnvId;
use convergence_runtime::{End, HealthStatus, RuntimeError, Usage};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::Provisioner;

/// How long a reading is served.
const FRESH: Duration = Duration::from_secs(1);
/// How long a reading is served that finds nothing running where something should: an operation may just have started it.
const FRESH_IN_DOUBT: Duration = Duration::from_millis(100);
/// The least time between the two samples of a processor's use.
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// The most: over more than this, the average says nothing about now.
const WINDOW_MAX: Duration = Duration::from_secs(10);

/// What the engine knows of a tenant's container.
#[derive(Debug, Clone, Copy)]
pub struct ContainerReport {
    /// What its health check says.
    pub health: Option<HealthStatus>,
    /// How often the engine started the app again after it ended by itself.
    pub restarts: u64,
    /// How the app ended last, where it ever did.
    pub last_end: Option<End>,
}

/// What a tenant's container uses.
#[derive(Debug, Clone, Copy)]
pub struct UsageReport {
    /// Percent of one core between two samples, of which this is the later one. To be shown: no decision rests on it.
    pub cpu_percent: f64,
    /// Bytes of memory in use, the file cache that could be given back left out.
    pub memory_bytes: u64,
    /// When it was measured.
    pub at: Timestamp,
}

/// What was seen of a container.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    taken: Instant,
    /// What had been told of the container when it was taken.
    generation: u64,
    sampled: Option<(Instant, Usage)>,
    /// None where there is none.
    pub(crate) container: Option<ContainerReport>,
    /// None where none runs.
    pub(crate) started_at: Option<Timestamp>,
    /// None where none runs, or the engine does not tell.
    pub(crate) usage: Option<UsageReport>,
}

/// The last reading of each tenant.
#[derive(Debug, Default)]
pub(crate) struct Live(Mutex<BTreeMap<EnvId, Arc<Slot>>>);

#[derive(Debug, Default)]
struct Slot {
    /// Counts what the engine and the operations of this server tell of the container: a reading from before is old, also one
    /// that a caller gave up half way.
    generation: AtomicU64,
    /// Held while the engine is asked, so that of many requests at the same time one asks.
    reading: tokio::sync::Mutex<Option<Reading>>,
}

impl Live {
    /// Something happened to a tenant's container.
    pub(crate) fn outdate(&self, tenant: EnvId) {
        if let Some(slot) = self.slots().get(&tenant) {
            slot.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets every tenant but these.
    pub(crate) fn keep(&self, is_there: impl Fn(&EnvId) -> bool) {
        self.slots().retain(|tenant, _| is_there(tenant));
    }

    fn slot(&self, tenant: EnvId) -> Arc<Slot> {
        Arc::clone(self.slots().entry(tenant).or_default())
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, BTreeMap<EnvId, Arc<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provisioner {
    /// What is known of a tenant's container, a second old at most.
    ///
    /// # Errors
    /// The engine does not answer.
    pub(crate) async fn reading(&self, tenant: EnvId, should_run: bool) -> Result<Reading, RuntimeError> {
        let slot = self.live.slot(tenant);
        let mut last = slot.reading.lock().await;
        let generation = slot.generation.load(Ordering::Acquire);
        if let Some(reading) = last.filter(|reading| reading.generation == generation) {
            let is_in_doubt = should_run && reading.started_at.is_none();
            if reading.taken.elapsed() < if is_in_doubt { FRESH_IN_DOUBT } else { FRESH } {
                return Ok(reading);
            }
        }
        let reading = Reading { generation, ..self.read(tenant, *last).await? };
        Ok(*last.insert(reading))
    }

    async fn read(&self, tenant: EnvId, before: Option<Reading>) -> Result<Reading, RuntimeError> {
        let name = self.container_name(tenant);
        let seen = self.runtime.observe(&name).await?;
        let taken = Instant::now();
        let Some(seen) = seen else {
            return Ok(Reading { taken, generation: 0, sampled: None, container: None, started_at: None, usage: None });
        };
        let container = seen.instances.first().map(|first| ContainerReport {
            health: seen.instances.iter().filter_map(|instance| instance.health).max(),
            restarts: seen.instances.iter().map(|instance| instance.restarts).sum(),
            last_end: self.ends.last(tenant, first.last_end),
        });
        let started_at = seen.running().filter_map(|instance| instance.started_at).min();
        let before = before.filter(|before| before.started_at == started_at);
        let (sampled, usage) = match seen.running().next() {
            None => (None, None),
            Some(_) => self
                .measure(&name, before)
                .await
                .map_or((None, None), |(at, usage, told)| (Some((at, usage)), Some(told))),
        };
        Ok(Reading { taken, generation: 0, sampled, container, started_at, usage })
    }

    /// What a container uses, its processor since the sample before, or over a moment where there was none lately.
    async fn measure(&self, name: &str, before: Option<Reading>) -> Option<(Instant, Usage, UsageReport)> {
        let (mut first, last_told) = match before {
            Some(before) => (before.sampled, before.usage),
            None => (None, None),
        };
        if let (Some((at, usage)), Some(told)) = (first, last_told)
            && at.elapsed() < WINDOW_MIN
        {
            return Some((at, usage, told));
        }
        first = first.filter(|(at, _)| at.elapsed() <= WINDOW_MAX);
        if first.is_none() {
            let sample = self.runtime.stats(name).await.ok()?;
            first = Some((Instant::now(), sample));
            tokio::time::sleep(WINDOW_MIN).await;
        }
        let (from, earlier) = first?;
        let sample = self.runtime.stats(name).await.ok()?;
        let at = Instant::now();
        let nanos = sample.cpu_nanos.saturating_sub(earlier.cpu_nanos);
        let cpu_percent = nanos as f64 / at.duration_since(from).as_nanos().max(1) as f64 * 100.0;
        let told = UsageReport { cpu_percent, memory_bytes: sample.memory_bytes, at: self.clock.now() };
        Some((at, sample, told))
    }
}
