//! What the calls of a plugin took and how they ended, counted since its version came into use in this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convergence_sandbox::{CallError, CallReport};

/// Upper bounds of the latency buckets, in microseconds; a last bucket holds what is slower.
pub const LATENCY_BOUNDS_US: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Counters that many calls write to at once.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    out_of_fuel: AtomicU64,
    out_of_memory: AtomicU64,
    invalid_answers: AtomicU64,
    refusals: AtomicU64,
    host_failures: AtomicU64,
    suspended: AtomicU64,
    network_attempts: AtomicU64,
    fuel: AtomicU64,
    fuel_most: AtomicU64,
    memory_most: AtomicU64,
    latency: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
}

/// What was counted, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginStats {
    /// Calls that reached the plugin.
    pub calls: u64,
    /// Of these: it broke, or ended itself.
    pub traps: u64,
    /// It was stopped by the clock, or waited for something that never comes.
    pub timeouts: u64,
    /// It used up its instructions.
    pub out_of_fuel: u64,
    /// It wanted more memory than it may have, or handed over more than it may.
    pub out_of_memory: u64,
    /// It answered something that the contract forbids, or said that it failed.
    pub invalid_answers: u64,
    /// It answered that it cannot serve the request: foreseen, and no fault.
    pub refusals: u64,
    /// Calls that failed for reasons of the server's, among them those beyond the queue.
    pub host_failures: u64,
    /// Calls that the breaker kept away from it, and those whose callers it sent away.
    pub suspended: u64,
    /// How often it tried to reach the network, which no plugin has.
    pub network_attempts: u64,
    /// Units of fuel, in all.
    pub fuel: u64,
    /// Units of fuel of the hungriest call.
    pub fuel_most: u64,
    /// Bytes of linear memory of the largest call.
    pub memory_most: u64,
    /// Calls by their time in the guest: one more than [`LATENCY_BOUNDS_US`], not cumulative.
    pub latency: Vec<u64>,
}

impl Counters {
    /// Counts a call that was kept away.
    pub(crate) fn suspended(&self) {
        self.suspended.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a call.
    pub(crate) fn count(&self, error: Option<&CallError>, report: Option<&CallReport>) {
        let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match error {
            None => {}
            Some(CallError::Trap { .. } | CallError::Exited { .. }) => _ = add(&self.traps),
            Some(CallError::DeadlineExceeded(_) | CallError::Stalled) => _ = add(&self.timeouts),
            Some(CallError::OutOfFuel(_)) => _ = add(&self.out_of_fuel),
            Some(CallError::OutOfMemory(_) | CallError::OutputTooLarge(_)) => _ = add(&self.out_of_memory),
            Some(CallError::Overloaded(_) | CallError::Host(_)) => _ = add(&self.host_failures),
            Some(error) if error.is_plugins_fault() => _ = add(&self.invalid_answers),
            Some(_) => _ = add(&self.refusals),
        }
        let Some(report) = report else { return };
        add(&self.calls);
        self.network_attempts.fetch_add(report.network_attempts.into(), Ordering::Relaxed);
        self.fuel.fetch_add(report.fuel_used, Ordering::Relaxed);
        self.fuel_most.fetch_max(report.fuel_used, Ordering::Relaxed);
        let memory = u64::try_from(report.memory_bytes).unwrap_or(u64::MAX);
        self.memory_most.fetch_max(memory, Ordering::Relaxed);
        let bucket = bucket(report.duration);
        if let Some(counter) = self.latency.get(bucket) {
            add(counter);
        }
    }

    pub(crate) fn read(&self) -> PluginStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PluginStats {
            calls: read(&self.calls),
            traps: read(&self.traps),
            timeouts: read(&self.timeouts),
            out_of_fuel: read(&self.out_of_fuel),
            out_of_memory: read(&self.out_of_memory),
            invalid_answers: read(&self.invalid_answers),
            refusals: read(&self.refusals),
            host_failures: read(&self.host_failures),
            suspended: read(&self.suspended),
            network_attempts: read(&self.network_attempts),
            fuel: read(&self.fuel),
            fuel_most: read(&self.fuel_most),
            memory_most: read(&self.memory_most),
            latency: self.latency.iter().map(read).collect(),
        }
    }
}

fn bucket(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    LATENCY_BOUNDS_US.partition_point(|bound| *bound < micros)
}

impl PluginStats {
    /// The bound below which at least `share` (0 to 1) of the calls stayed, in microseconds. None without calls, and
    /// where they were slower than the last bound.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        let all: u64 = self.latency.iter().sum();
        if all == 0 {
            return None;
        }
        let mut below = 0;
        for (count, bound) in self.latency.iter().zip(LATENCY_BOUNDS_US) {
            below += count;
            #[expect(clippy::cast_precision_loss, reason = "a share of calls need not be exact")]
            if below as f64 >= share * all as f64 {
                return Some(bound);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_whose_bound_they_do_not_pass() {
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::from_micros(50)), 0);
        assert_eq!(bucket(Duration::from_micros(51)), 1);
        assert_eq!(bucket(Duration::from_secs(10)), LATENCY_BOUNDS_US.len() - 1);
        assert_eq!(bucket(Duration::from_secs(11)), LATENCY_BOUNDS_US.len());
    }

    #[test]
    fn a_quantile_is_the_bound_that_holds_it() {
        let mut latency = vec![0; LATENCY_BOUNDS_US.len() + 1];
        let stats = |latency: &[u64]| PluginStats { latency: latency.to_vec(), ..PluginStats::default() };
        assert_eq!(stats(&latency).quantile_us(0.5), None);
        latency.splice(..3, [98, 1, 1]);
        assert_eq!(stats(&latency).quantile_us(0.5), Some(50));
        assert_eq!(stats(&latency).quantile_us(0.99), Some(100));
        assert_eq!(stats(&latency).quantile_us(1.0), Some(200));
    }
}
