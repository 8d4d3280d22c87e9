//! How apps ended that the engine starts again by itself: it forgets the exit code and the reason once they run.

use std::collections::BTreeMap;
use std::sync::Mutex;

use convergence_model::EnvId;
use convergence_runtime::{Change, Changed, End};
use jiff::Timestamp;

/// The last end of each tenant's app that this server heard of.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<BTreeMap<EnvId, End>>);

impl Ends {
    /// Keeps what a change says of an end. The engine tells that it killed a process for its memory before it tells that the
    /// app ended.
    pub(super) fn hear(&self, changed: &Changed, now: Timestamp) {
        let mut ends = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match changed.change {
            Change::OutOfMemory => _ = ends.insert(changed.tenant, End { code: None, oom: true, at: Some(now) }),
            Change::Ended { code } => {
                let before = ends.get(&changed.tenant);
                let oom = before.is_some_and(|end| end.oom && end.code.is_none());
                tracing::info!(tenant = changed.tenant.0, code, oom, "an app ended");
                ends.insert(changed.tenant, End { code, oom, at: Some(now) });
            }
            // The container is gone, and what is made in its place never ended.
            Change::Removed => _ = ends.remove(&changed.tenant),
            _ => {}
        }
    }

    /// Forgets every tenant but these: that a container went may be told while nobody listens.
    pub(super) fn keep(&self, is_there: impl Fn(&EnvId) -> bool) {
        let mut ends = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        ends.retain(|tenant, _| is_there(tenant));
    }

    /// How a tenant's app ended last: as the engine says, with what it told before it forgot.
    pub(crate) fn last(&self, tenant: EnvId, seen: Option<End>) -> Option<End> {
        let ends = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let heard = ends.get(&tenant).copied();
        match (seen, heard) {
            (Some(End { code: None, oom, at }), Some(heard)) => {
                Some(End { code: heard.code, oom: oom || heard.oom, at: at.or(heard.at) })
            }
            (seen, _) => seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use convergence_runtime::Changeable;

    use super::*;

    fn changed(change: Change) -> Changed {
        Changed {
            tenant: EnvId(7),
            what: Changeable::Workload,
            name: "convergence-7".to_owned(),
            id: "1".to_owned(),
            labels: BTreeMap::new(),
            change,
        }
    }

    #[test]
    fn an_end_is_remembered_with_its_reason_until_the_container_is_gone() {
        let (ends, now) = (Ends::default(), Timestamp::UNIX_EPOCH);
        let forgotten = Some(End { code: None, oom: false, at: Some(now) });
        assert_eq!(ends.last(EnvId(7), None), None);
        assert_eq!(ends.last(EnvId(7), forgotten), forgotten);

        ends.hear(&changed(Change::OutOfMemory), now);
        ends.hear(&changed(Change::Ended { code: Some(137) }), now);
        assert_eq!(ends.last(EnvId(7), forgotten), Some(End { code: Some(137), oom: true, at: Some(now) }));
        assert_eq!(ends.last(EnvId(8), forgotten), forgotten, "another tenant's");

        ends.hear(&changed(Change::Ended { code: Some(1) }), now);
        assert_eq!(ends.last(EnvId(7), forgotten), Some(End { code: Some(1), oom: false, at: Some(now) }));
        let known = Some(End { code: Some(3), oom: false, at: Some(now) });
        assert_eq!(ends.last(EnvId(7), known), known, "the engine still knows");

        ends.hear(&changed(Change::Removed), now);
        assert_eq!(ends.last(EnvId(7), forgotten), forgotten);
    }
}
