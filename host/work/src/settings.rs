//! What the operator decided about how operations are carried out.

use std::time::Duration;

use convergence_model::operation::Lane;

/// How operations are carried out.
#[derive(Debug, Clone)]
pub struct WorkSettings {
    /// Tells this server's leases from another's; the same again when it is started again.
    pub worker: String,
    /// Operations of the lane `engine` carried out at the same time.
    pub concurrency: usize,
    /// Operations of the lane `network` carried out at the same time; each costs memory while it runs, not while it waits.
    pub network_concurrency: usize,
    /// Operations of the lane `batch` carried out at the same time.
    pub batch_concurrency: usize,
    /// Operations of the lane `engine` that may be queued or running; beyond that no spawn is accepted.
    pub backlog_max: u32,
    /// How long an operation is tried before it is given up and undone.
    pub patience: Duration,
    /// How long a worker that is not heard of keeps an operation. Renewed three times within this.
    pub lease: Duration,
    /// How long a step may take that has no reason to take longer.
    pub step_limit: Duration,
    /// How long a stopping server lets operations continue before it hands them over.
    pub drain: Duration,
    /// The pause before the second attempt at what may pass; it doubles with each, up to half a minute.
    pub pause: Duration,
    /// How often the queue is looked at when nothing was said to be in it: leases of dead workers run out silently, and
    /// other servers queue without saying so here.
    pub idle: Duration,
}

impl Default for WorkSettings {
    fn default() -> Self {
        Self {
            worker: "local".to_owned(),
            concurrency: 8,
            network_concurrency: 1000,
            batch_concurrency: 2,
            backlog_max: 1000,
            patience: Duration::from_secs(3600),
            lease: Duration::from_secs(15),
            step_limit: Duration::from_secs(120),
            drain: Duration::from_secs(20),
            pause: Duration::from_millis(200),
            idle: Duration::from_secs(1),
        }
    }
}

impl WorkSettings {
    /// How many operations of a lane run at the same time; at least one.
    pub(crate) fn slots(&self, lane: Lane) -> usize {
        let slots = match lane {
            Lane::Engine => self.concurrency,
            Lane::Network => self.network_concurrency,
            Lane::Batch => self.batch_concurrency,
        };
        slots.max(1)
    }
}
