//! Looking: at the engine first and at the store after it, so that what was made in between is known.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convergence_model::operation::{Leftover, LeftoverKind};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, OperationId, Scope, TenantId};
use convergence_render::{GuardedPlan, names};
use convergence_runtime::{End, HealthStatus, Instance, Observed as Seen, Owned, OwnedItem, RuntimeError, State};
use convergence_store::Standing;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::plan::{Desired, Found, Observed, Thing, UNDER_ANOTHER_NAME, Wanted, belongs_to_nobody};
use super::{LookError, Memory, Stray, proof};
use crate::Provisioner;
use crate::secrets::SecretError;

/// Tenants looked at at the same time.
const AT_ONCE: usize = 8;

/// How every tenant stands in the store.
pub(super) type Standings = BTreeMap<EnvId, Standing>;

impl Provisioner {
    /// What is wanted, what is there, and the rows behind it. Of containers only those of `whom`, of everything else
    /// only when `whom` is everybody.
    pub(super) async fn look(
        &self,
        memory: &mut Memory,
        whom: Option<&BTreeSet<EnvId>>,
    ) -> Result<(Desired, Observed, Standings), LookError> {
        let owned = match whom {
            None => {
                self.strays.begin_look();
                let instance = &self.settings.instance;
                Some((self.runtime.owned(instance).await?, self.builder.owned_images(instance).await?))
            }
            Some(_) => None,
        };
        let standings = self.store.standings().await?;
        let tenants = standings.iter().map(|(tenant, standing)| (*tenant, wanted(standing))).collect();
        let images = match owned {
            Some(_) => self.store.image_tags().await?.into_iter().collect(),
            None => BTreeSet::new(),
        };
        let desired = Desired { tenants, images };

        let asked = |tenant: &EnvId| whom.as_ref().is_none_or(|whom| whom.contains(tenant));
        let is_kept = |status| matches!(status, TenantStatus::Running | TenantStatus::Stopped);
        let idle = |standing: &Standing| is_kept(standing.status) && !standing.busy;
        let looked_at: Vec<(EnvId, TenantId)> = standings
            .iter()
            .filter(|(tenant, standing)| asked(tenant) && idle(standing))
            .map(|(tenant, standing)| (*tenant, standing.tenant))
            .collect();
        let mut looks =
            stream::iter(looked_at).map(|(tenant, row)| self.look_at(tenant, row)).buffer_unordered(AT_ONCE);
        let mut containers = BTreeMap::new();
        while let Some(looked) = looks.next().await {
            if let Some((tenant, found)) = looked? {
                containers.insert(tenant, found);
            }
        }
        drop(looks);
        memory.count_failing(&mut containers, whom.is_none());
        let is_missing = containers.values().any(|found| *found == Found::Missing);
        let others = match &owned {
            // A container that is missing may only have been renamed, which its labels tell. They are read after it was
            // found missing: an earlier list may be older than the name it was given.
            _ if is_missing => self.others(&self.runtime.owned(&self.settings.instance).await?),
            Some((owned, _)) => self.others(owned),
            None => BTreeMap::new(),
        };
        for (tenant, found) in &mut containers {
            match (others.get(tenant), &mut *found) {
                (Some(others), Found::Alive { deviations, .. }) => deviations.extend(others.iter().cloned()),
                // Renamed by hand: the app did not end, and is not halted as if it had.
                (Some(_), Found::Missing) => *found = Found::Unusable(UNDER_ANOTHER_NAME),
                _ => {}
            }
        }
        let mut things = owned.map_or_else(Vec::new, |(owned, images)| things(owned, images));
        proof::prove(self.runtime.as_ref(), &self.store, &desired, &mut things).await?;
        if whom.is_none() {
            self.remember(memory, &mut things, &desired);
            self.ends.keep(|tenant| desired.tenants.contains_key(tenant));
            self.live.keep(|tenant| desired.tenants.contains_key(tenant));
        }
        Ok((desired, Observed { containers, things }, standings))
    }

    /// What there is of a tenant's container; nothing where that cannot be told.
    async fn look_at(&self, env_id: EnvId, tenant: TenantId) -> Result<Option<(EnvId, Found)>, LookError> {
        let name = names::container(&self.settings.name_prefix, env_id);
        let seen = self.runtime.observe(&name).await?;
        let found = match seen.as_ref().and_then(worst) {
            None => Found::Missing,
            Some(seen) => match seen.state {
                State::Exited => {
                    let end = self.ends.last(env_id, seen.last_end);
                    Found::Ended { end: end.unwrap_or(End { code: None, oom: false, at: None }) }
                }
                State::Created => Found::Unusable("created and was never started"),
                State::Paused => Found::Unusable("frozen"),
                State::Dead => Found::Unusable("dead"),
                // It is about to be gone; the engine tells when it is.
                State::Removing => return Ok(None),
                State::Running | State::Restarting => Found::Alive {
                    up: self.up(seen),
                    restarts: seen.restarts,
                    last_end: self.ends.last(env_id, seen.last_end),
                    unhealthy: (seen.health == Some(HealthStatus::Unhealthy)).then_some(Duration::ZERO),
                    deviations: self.deviations(env_id, tenant).await?,
                },
            },
        };
        Ok(Some((env_id, found)))
    }

    /// What carries a tenant's labels and is not its own: under another name, or a second network of its own name.
    fn others(&self, owned: &Owned) -> BTreeMap<EnvId, Vec<String>> {
        let mut others: BTreeMap<EnvId, Vec<String>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let items = |kind, items: &[OwnedItem]| {
            let of = |item: &OwnedItem| item.owner().map(|owner| (kind, owner.tenant, item.name.clone()));
            items.iter().filter_map(of).collect::<Vec<_>>()
        };
        let all = items("container", &owned.workloads).into_iter().chain(items("network", &owned.boundaries));
        for (kind, tenant, name) in all {
            let is_own = name == names::container(&self.settings.name_prefix, tenant);
            if !is_own || !seen.insert((kind, tenant)) {
                others.entry(tenant).or_default().push(format!("another {kind} has its labels: {name}"));
            }
        }
        others
    }

    fn up(&self, seen: &Instance) -> Option<Duration> {
        let started = seen.started_at.filter(|_| seen.state == State::Running)?;
        // A clock that was set back makes it young, never old.
        Some(Duration::try_from(self.clock.now().duration_since(started)).unwrap_or_default())
    }

    /// The fields in which a container is not what its revision says.
    async fn deviations(&self, env_id: EnvId, tenant: TenantId) -> Result<Vec<String>, LookError> {
        let scope = Scope::platform();
        let (row, binding) = (self.store.tenant(&scope, env_id).await?, self.store.binding(&scope, tenant).await?);
        let revision = self.store.current_revision(&scope, tenant).await?;
        let (Some(row), Some(binding), Some(revision)) = (row, binding, revision) else { return Ok(Vec::new()) };
        let Some(built) = revision.built.clone() else { return Ok(Vec::new()) };
        // A plan that is not allowed any more is nothing a repair could fix.
        let rules = self.rules(&revision.spec, revision.limits.memory_mb);
        let Ok(plan) = GuardedPlan::recheck(revision.plan.clone(), &rules) else { return Ok(Vec::new()) };
        let secrets = match self.opened(tenant, &revision).await {
            Ok(secrets) => secrets,
            Err(SecretError::Store(error)) => return Err(error.into()),
            // A repair could not open it either.
            Err(error) => {
                tracing::warn!(%error, tenant = env_id.0, "its container cannot be compared with its revision");
                return Ok(Vec::new());
            }
        };
        let nobody = OperationId(uuid::Uuid::nil());
        let workload = self.project(&row, &binding, &revision, &plan, &built, secrets, nobody);
        match self.runtime.verify(&workload).await {
            Ok(deviations) => Ok(deviations.into_iter().map(|deviation| deviation.field).collect()),
            Err(RuntimeError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Since when each thing is there that belongs to nobody; told to the operator once.
    fn remember(&self, memory: &mut Memory, things: &mut [Thing], desired: &Desired) {
        let now = Instant::now();
        let mut since = BTreeMap::new();
        for thing in things.iter_mut().filter(|thing| belongs_to_nobody(desired, thing)) {
            let key = (thing.tenant, thing.what.clone());
            let known = memory.strays.get(&key).copied();
            // Seen twice before anything is done about it.
            thing.seen_for = known.map(|since| now.duration_since(since));
            since.insert(key, known.unwrap_or(now));
        }
        let mut told = Vec::new();
        for (thing, held) in proof::judge(desired, things, &self.settings.reconcile) {
            let (kind, name) = (thing.what.kind, thing.what.name.as_str());
            if thing.seen_for.is_none() {
                match held {
                    None => tracing::warn!(?kind, name, "it belongs to nobody, and will be removed"),
                    Some(held) => {
                        let reason = held.explain(kind);
                        tracing::warn!(?kind, name, reason, "it belongs to nobody, and waits for an operator");
                    }
                }
            }
            let seen_for = thing.seen_for.unwrap_or_default();
            told.push(Stray { tenant: thing.tenant, what: thing.what.clone(), seen_for, held });
        }
        memory.strays = since;
        self.strays.end_look(told);
    }
}

impl Memory {
    /// Fills in how long the health checks that fail have been failing.
    fn count_failing(&mut self, containers: &mut BTreeMap<EnvId, Found>, everybody: bool) {
        let now = Instant::now();
        if everybody {
            // A tenant that was not looked at is being worked on, and begins anew.
            self.failing.retain(|tenant, _| containers.contains_key(tenant));
        }
        for (tenant, found) in containers {
            match found {
                Found::Alive { unhealthy: Some(failing), .. } => {
                    *failing = now.duration_since(*self.failing.entry(*tenant).or_insert(now));
                }
                _ => _ = self.failing.remove(tenant),
            }
        }
    }
}

/// What a plan wants to know of a tenant.
pub(super) fn wanted(standing: &Standing) -> Wanted {
    Wanted { status: standing.status, busy: standing.busy, crashes: standing.crashes, resting: standing.resting }
}

/// The instance that says the most about a workload: one that does not run, or else the one started last. None of a
/// workload that has no instance.
fn worst(seen: &Seen) -> Option<&Instance> {
    let ended = seen.instances.iter().find(|instance| !instance.state.is_up());
    ended.or_else(|| seen.instances.iter().max_by_key(|instance| instance.started_at))
}

/// Everything that carries our label, each with whose it says it is.
pub(super) fn things(owned: Owned, images: Vec<OwnedItem>) -> Vec<Thing> {
    let Owned { workloads, boundaries, volumes } = owned;
    let of = |kind: LeftoverKind, items: Vec<OwnedItem>| {
        items.into_iter().filter_map(move |item| {
            let tenant = item.owner().map(|owner| owner.tenant);
            // Everything but an image has somebody's number on it; what has none was not made by this program.
            let is_ours = tenant.is_some() || kind == LeftoverKind::Image;
            let tenant = tenant.filter(|_| kind != LeftoverKind::Image);
            is_ours.then_some(Thing {
                what: Leftover { kind, name: item.name },
                tenant,
                seen_for: None,
                let_go: false,
                runs: false,
            })
        })
    };
    of(LeftoverKind::Container, workloads)
        .chain(of(LeftoverKind::Network, boundaries))
        .chain(of(LeftoverKind::Volume, volumes))
        .chain(of(LeftoverKind::Image, images))
        .collect()
}
