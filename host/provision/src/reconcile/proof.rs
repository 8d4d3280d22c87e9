//! What a sweep may remove of its own accord: only what the store can prove to have known and let go, only a few things at a
//! time, and nothing that runs. Everything else that belongs to nobody waits for an operator, who is told why. A database that
//! is empty, older than the engine's contents or another one proves nothing, and so removes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convergence_access::Caller;
use convergence_model::EnvId;
use convergence_model::operation::{Leftover, LeftoverKind, Operation, SweepInput};
use convergence_runtime::{Builder, Instance, Runtime, RuntimeError, State};
use convergence_store::{PLATFORM_ORG, Store, StoreError};

use super::plan::{Desired, Thing, belongs_to_nobody};
use super::{LookError, ReconcileSettings, Stray, look};
use crate::request::asked;
use crate::{Provisioner, sweep};

/// Why something that belongs to nobody stays until an operator orders its removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The configuration says that things of its kind are only reported.
    Configuration,
    /// The database has no record that it was here once and was let go.
    Unproven,
    /// It runs, or something that is left of the same tenant does.
    Running,
    /// With it, more would be removed at once than the configuration allows.
    TooMany {
        /// How many things would be removed.
        found: usize,
        /// How many may be.
        most: u32,
    },
}

impl Held {
    /// A stable slug for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Unproven => "unproven",
            Self::Running => "running",
            Self::TooMany { .. } => "too-many",
        }
    }

    /// The same, human-readable.
    pub fn explain(self, kind: LeftoverKind) -> String {
        match (self, kind) {
            (Self::Configuration, LeftoverKind::Volume) => "`orphan-volumes` is \"report\": it holds data".to_owned(),
            (Self::Configuration, _) => "`orphans` is \"report\"".to_owned(),
            (Self::Unproven, LeftoverKind::Image) => {
                "the database has no record of an image of this name that it let go".to_owned()
            }
            (Self::Unproven, _) => {
                "the database has no record of a tenant of this number that it let go; is it the right database, and not \
                 an old backup?"
                    .to_owned()
            }
            (Self::Running, _) => "it runs, or a container of the same tenant does".to_owned(),
            (Self::TooMany { found, most }, _) => {
                format!("{found} things would be removed at once, and `sweep-max` is {most}")
            }
        }
    }
}

/// Why an operator's order to remove something was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// None of these is in the engine with our label and without anybody it belongs to.
    #[error("{} of the things named are no leftovers", .0.len())]
    NoLeftovers(Vec<Leftover>),
    /// Something is being done about this number already; 0 stands for images.
    #[error("something is being done about tenant {0} already")]
    Busy(EnvId),
    /// The engine or the store does not answer.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// What belongs to nobody, each with the reason why it is not removed of our own accord, if it is not.
pub(super) fn judge<'a>(
    desired: &Desired,
    things: &'a [Thing],
    settings: &ReconcileSettings,
) -> Vec<(&'a Thing, Option<Held>)> {
    let strays = || things.iter().filter(|thing| belongs_to_nobody(desired, thing));
    let run: BTreeSet<EnvId> = strays().filter(|thing| thing.runs).filter_map(|thing| thing.tenant).collect();
    let hold = |thing: &Thing| {
        let is_reported = match thing.what.kind {
            LeftoverKind::Volume => !settings.remove || !settings.remove_volumes,
            _ => !settings.remove,
        };
        let runs = thing.runs || thing.tenant.is_some_and(|tenant| run.contains(&tenant));
        if is_reported {
            Some(Held::Configuration)
        } else if !thing.let_go {
            Some(Held::Unproven)
        } else if runs && !settings.sweep_running {
            Some(Held::Running)
        } else {
            None
        }
    };
    let mut judged: Vec<_> = strays().map(|thing| (thing, hold(thing))).collect();
    let found = judged.iter().filter(|(_, held)| held.is_none()).count();
    let most = settings.sweep_max;
    if found > usize::try_from(most).unwrap_or(usize::MAX) {
        for (_, held) in judged.iter_mut().filter(|(_, held)| held.is_none()) {
            *held = Some(Held::TooMany { found, most });
        }
    }
    judged
}

/// Finds out, of everything that belongs to nobody, whether the store let it go and whether it runs.
pub(super) async fn prove(
    runtime: &dyn Runtime,
    store: &Store,
    desired: &Desired,
    things: &mut [Thing],
) -> Result<(), LookError> {
    let mut tenants: BTreeMap<EnvId, bool> = BTreeMap::new();
    for thing in things.iter_mut().filter(|thing| belongs_to_nobody(desired, thing)) {
        thing.let_go = match thing.tenant {
            None => store.let_image_go(&thing.what.name).await?,
            Some(tenant) => match tenants.get(&tenant) {
                Some(let_go) => *let_go,
                None => {
                    let let_go = store.let_tenant_go(tenant).await?;
                    tenants.insert(tenant, let_go);
                    let_go
                }
            },
        };
        thing.runs = thing.what.kind == LeftoverKind::Container && runs(runtime, &thing.what.name).await?;
    }
    Ok(())
}

/// Whether a container has a process.
pub(crate) async fn runs(runtime: &dyn Runtime, name: &str) -> Result<bool, RuntimeError> {
    let seen = runtime.observe(name).await?;
    let up = |instance: &Instance| matches!(instance.state, State::Running | State::Paused | State::Restarting);
    Ok(seen.is_some_and(|seen| seen.instances.iter().any(up)))
}

/// Whether a sweep may still remove something: between the look that found it and the removal, something may have happened.
pub(crate) async fn may_be_swept(
    runtime: &dyn Runtime,
    store: &Store,
    settings: &ReconcileSettings,
    tenant: EnvId,
    what: &Leftover,
) -> Result<Option<Held>, LookError> {
    let let_go = match what.kind {
        LeftoverKind::Image => store.let_image_go(&what.name).await?,
        _ => store.let_tenant_go(tenant).await?,
    };
    if !let_go {
        return Ok(Some(Held::Unproven));
    }
    let is_held = what.kind == LeftoverKind::Container && !settings.sweep_running && runs(runtime, &what.name).await?;
    Ok(is_held.then_some(Held::Running))
}

/// Everything in the engine that carries an installation's label and belongs to nothing in its store, as it is now.
///
/// # Errors
/// The engine or the store does not answer.
pub async fn leftovers(
    builder: &dyn Builder,
    runtime: &dyn Runtime,
    store: &Store,
    instance: &str,
    settings: &ReconcileSettings,
) -> Result<Vec<Stray>, LookError> {
    // The engine first: what is made in between is then known to the store.
    let mut things = look::things(runtime.owned(instance).await?, builder.owned_images(instance).await?);
    let desired = Desired {
        tenants: store.standings().await?.iter().map(|(tenant, standing)| (*tenant, look::wanted(standing))).collect(),
        images: store.image_tags().await?.into_iter().collect(),
    };
    prove(runtime, store, &desired, &mut things).await?;
    let stray = |(thing, held): (&Thing, Option<Held>)| Stray {
        tenant: thing.tenant,
        what: thing.what.clone(),
        seen_for: Duration::ZERO,
        held,
    };
    Ok(judge(&desired, &things, settings).into_iter().map(stray).collect())
}

impl Provisioner {
    /// Accepts the removal of leftovers that an operator names, whatever holds them. Each must be one at this moment.
    ///
    /// # Errors
    /// [`OrderError`]; where some were accepted before it, those are removed.
    pub async fn remove_leftovers(&self, caller: &Caller, named: &[Leftover]) -> Result<Vec<Operation>, OrderError> {
        if self.operations.is_stopping() {
            return Err(OrderError::Stopping);
        }
        let settings = &self.settings;
        let there = leftovers(
            self.builder.as_ref(),
            self.runtime.as_ref(),
            &self.store,
            &settings.instance,
            &settings.reconcile,
        )
        .await?;
        let mut orders: BTreeMap<EnvId, Vec<Leftover>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for what in named {
            // Things of one name may say that they are several tenants'.
            let strays: Vec<_> = there.iter().filter(|stray| stray.what == *what).collect();
            if strays.is_empty() {
                unknown.push(what.clone());
            }
            for stray in strays {
                orders.entry(stray.tenant.unwrap_or(EnvId(0))).or_default().push(what.clone());
            }
        }
        if !unknown.is_empty() {
            return Err(OrderError::NoLeftovers(unknown));
        }
        let mut accepted = Vec::new();
        for (tenant, mut leftovers) in orders {
            leftovers.sort();
            leftovers.dedup();
            let input = asked(&SweepInput { leftovers, ordered: true });
            let new = self.operations.new_operation(&sweep::KIND, input, caller.name());
            let begun = self.store.begin_sweep(PLATFORM_ORG, tenant, &new).await.map_err(LookError::from)?;
            accepted.push(begun.ok_or(OrderError::Busy(tenant))?);
            self.operations.queued(sweep::KIND.lane);
        }
        Ok(accepted)
    }
}

impl From<StoreError> for OrderError {
    fn from(error: StoreError) -> Self {
        Self::Look(error.into())
    }
}
