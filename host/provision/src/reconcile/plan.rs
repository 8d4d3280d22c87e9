//! What should be done about the difference between what is wanted and what is there. Pure: no clock, no engine, no store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convergence_model::operation::Leftover;
use convergence_model::tenant::TenantStatus;
use convergence_model::{Code, EnvId};
use convergence_runtime::End;

use super::proof::judge;

/// What the store knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Desired {
    /// Every tenant there is.
    pub(crate) tenants: BTreeMap<EnvId, Wanted>,
    /// Every tag that a revision was, or is being, built as.
    pub(crate) images: BTreeSet<String>,
}

/// What the store knows of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) status: TenantStatus,
    /// An operation on it is not finished: whatever is found may be half of what it does.
    pub(crate) busy: bool,
    /// How often it ended by itself without having stayed up for long since.
    pub(crate) crashes: u32,
    /// Whether it is too early to start it again.
    pub(crate) resting: bool,
}

/// What the engine shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// The containers of tenants that were looked at; those that were not are not in here.
    pub(crate) containers: BTreeMap<EnvId, Found>,
    /// Everything with our label, with how long it has been known to be there, by whose it says it is: images are
    /// nobody's.
    pub(crate) things: Vec<Thing>,
}

/// A tenant's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is none.
    Missing,
    /// It ended, and the engine does not start it again.
    Ended { end: End },
    /// It was frozen, or the engine failed to remove it.
    Unusable(&'static str),
    /// It runs, or the engine is about to start it again.
    Alive {
        /// How long it has been running; none while it waits to be started again.
        up: Option<Duration>,
        /// How often the engine started it again.
        restarts: u64,
        /// How it ended last, where it ever did.
        last_end: Option<End>,
        /// How long its health check has been failing, since the engine's verdict was first seen.
        unhealthy: Option<Duration>,
        /// Fields in which it is not what its revision says.
        deviations: Vec<String>,
    },
}

/// Something with our label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) what: Leftover,
    /// None of an image.
    pub(crate) tenant: Option<EnvId>,
    /// How long it has been seen without anybody it belongs to.
    pub(crate) seen_for: Option<Duration>,
    /// Of what belongs to nobody: whether the store can prove that it knew it and let it go.
    pub(crate) let_go: bool,
    /// Of what belongs to nobody: whether it runs.
    pub(crate) runs: bool,
}

/// What the operator decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReconcileSettings {
    /// Between two looks at everything.
    pub interval: Duration,
    /// How long something must belong to nobody before it is removed.
    pub grace: Duration,
    /// Whether what belongs to nobody is removed; otherwise it is only told of.
    pub remove: bool,
    /// Whether volumes that belong to nobody are removed as well, with what is in them.
    pub remove_volumes: bool,
    /// How many things that belong to nobody may be removed at once; more of them wait for an operator, all together.
    pub sweep_max: u32,
    /// Whether what runs and belongs to nobody is removed without an operator's order.
    pub sweep_running: bool,
    /// How often an app may end by itself before its tenant is stopped.
    pub crashes_max: u32,
    /// How long an app must stay up for its earlier ends to be forgiven.
    pub stable: Duration,
    /// How long the health check of an app that runs may fail before the app is restarted.
    pub unhealthy: Duration,
    /// The pause after the first crash; it doubles with each, up to five minutes.
    pub pause: Duration,
    /// How long what was done is kept, with its events and idempotency keys.
    pub keep: Duration,
}

impl Default for ReconcileSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            grace: Duration::from_secs(600),
            remove: true,
            remove_volumes: false,
            sweep_max: 10,
            sweep_running: false,
            crashes_max: 8,
            stable: Duration::from_secs(60),
            unhealthy: Duration::from_secs(60),
            pause: Duration::from_secs(1),
            keep: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// The longest pause between two starts of an app that crashes.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What a container is that carries a tenant's labels where its own is not.
pub(crate) const UNDER_ANOTHER_NAME: &str = "there under another name";

/// What should be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Bring a tenant back to what its revision says, as often as it takes; `pause` before it is done once more.
    /// With `restart` its app is stopped first, since it hangs.
    Repair { tenant: EnvId, reason: String, crash: Option<Duration>, restart: bool },
    /// Stop a tenant whose app ends or hangs again and again.
    Halt { tenant: EnvId, reason: String, code: Code },
    /// Stop a tenant that somebody stopped and that runs all the same.
    Stop { tenant: EnvId },
    /// Forgive a tenant that stays up.
    Forgive { tenant: EnvId },
    /// Remove what belongs to nobody. The tenant is 0 for images.
    Sweep { tenant: EnvId, leftovers: Vec<Leftover> },
}

/// What should be done about the difference.
pub(crate) fn plan(desired: &Desired, observed: &Observed, settings: &ReconcileSettings) -> Vec<Action> {
    let tenants = observed.containers.iter().filter_map(|(tenant, found)| {
        let wanted = desired.tenants.get(tenant)?;
        match wanted.status {
            _ if wanted.busy => None,
            TenantStatus::Running => about(*tenant, *wanted, found, settings),
            TenantStatus::Stopped => match found {
                Found::Alive { .. } | Found::Unusable(UNDER_ANOTHER_NAME) => Some(Action::Stop { tenant: *tenant }),
                Found::Missing | Found::Ended { .. } | Found::Unusable(_) => None,
            },
            TenantStatus::Provisioning | TenantStatus::Destroying | TenantStatus::Failed => None,
        }
    });
    let mut actions: Vec<Action> = tenants.collect();
    let mut strays: BTreeMap<EnvId, Vec<Leftover>> = BTreeMap::new();
    for (thing, held) in judge(desired, &observed.things, settings) {
        if held.is_none() && is_ripe(thing, settings) {
            strays.entry(thing.tenant.unwrap_or(EnvId(0))).or_default().push(thing.what.clone());
        }
    }
    actions.extend(strays.into_iter().map(|(tenant, leftovers)| Action::Sweep { tenant, leftovers }));
    actions
}

/// The tenants that nothing could be done about yet: something is being done about one that was `told` of, which may have
/// looked before this happened to it, or one that is not as it should be rests.
pub(crate) fn unsettled(desired: &Desired, observed: &Observed, told: Option<&BTreeSet<EnvId>>) -> BTreeSet<EnvId> {
    let rests = |tenant: &EnvId| {
        let wrong = observed.containers.get(tenant).is_some_and(|found| match found {
            Found::Alive { deviations, .. } => !deviations.is_empty(),
            _ => true,
        });
        wrong && desired.tenants.get(tenant).is_some_and(|wanted| wanted.resting)
    };
    let is_busy = |tenant: &&EnvId| {
        desired.tenants.get(*tenant).is_some_and(|wanted| wanted.busy && wanted.status == TenantStatus::Running)
    };
    let busy = told.into_iter().flatten().filter(is_busy).copied();
    observed.containers.keys().copied().filter(rests).chain(busy).collect()
}

/// Whether neither a tenant nor a revision accounts for it.
pub(crate) fn belongs_to_nobody(desired: &Desired, thing: &Thing) -> bool {
    match thing.tenant {
        Some(tenant) => !desired.tenants.contains_key(&tenant),
        None => !desired.images.contains(&thing.what.name),
    }
}

/// Whether it has been seen for long enough.
fn is_ripe(thing: &Thing, settings: &ReconcileSettings) -> bool {
    thing.seen_for.is_some_and(|seen_for| seen_for >= settings.grace)
}

fn about(tenant: EnvId, wanted: Wanted, found: &Found, settings: &ReconcileSettings) -> Option<Action> {
    let repair = |reason: String, restart| {
        let crash = Some(pause(wanted.crashes, settings.pause));
        (!wanted.resting).then_some(Action::Repair { tenant, reason, crash, restart })
    };
    let put_right = |reason| repair(reason, false);
    let halt_or_repair = |reason: String, code, restart| {
        if wanted.crashes >= settings.crashes_max {
            let reason = format!("{reason}, and it was started again {} times before", wanted.crashes);
            return Some(Action::Halt { tenant, reason, code });
        }
        repair(reason, restart)
    };
    let crashed = |reason| halt_or_repair(reason, Code::AppExited, false);
    match found {
        Found::Missing => crashed("its container is gone".to_owned()),
        Found::Ended { end } => crashed(format!("its app {}", ended(end))),
        // Somebody does this by hand; the app is not stopped for it, however often.
        Found::Unusable(state) => put_right(format!("its container is {state}")),
        Found::Alive { up, restarts, last_end, unhealthy, deviations } => {
            let stable = up.is_some_and(|up| up >= settings.stable) && unhealthy.is_none();
            if *restarts > u64::from(settings.crashes_max) && !stable {
                let mut reason = format!("its app ended again and again; the engine started it {restarts} times");
                if let Some(end) = last_end {
                    reason = format!("{reason}; the last time it {}", ended(end));
                }
                return Some(Action::Halt { tenant, reason, code: Code::AppExited });
            }
            if !deviations.is_empty() {
                let reason = format!("its container is not what its revision says: {}", deviations.join(", "));
                return put_right(reason);
            }
            if let Some(failing) = unhealthy.filter(|failing| *failing >= settings.unhealthy) {
                let reason = format!("its health check has been failing for {} s", failing.as_secs());
                return halt_or_repair(reason, Code::AppNotReady, true);
            }
            (stable && wanted.crashes > 0).then_some(Action::Forgive { tenant })
        }
    }
}

/// How an app ended, as the end of a sentence about it.
pub(super) fn ended(end: &End) -> String {
    match end {
        End { oom: true, .. } => "used more memory than its limit and was killed".to_owned(),
        End { code: Some(code), .. } => format!("ended with exit code {code}"),
        End { code: None, .. } => "ended".to_owned(),
    }
}

/// How long an app that crashed so often rests before it is started once more than now.
fn pause(crashes: u32, first: Duration) -> Duration {
    first.saturating_mul(1 << crashes.min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
