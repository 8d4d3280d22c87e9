//! What each kind of operation on tenants consists of, and how the room of durable work carries it out.

use std::sync::Arc;

use async_trait::async_trait;
use convergence_model::Scope;
use convergence_model::operation::{Operation, UpkeepInput};
use convergence_work::{Done, Effect, Hold, Kind, Registry, Run, Sequence, StepInfo};
use serde_json::Value;

use crate::deploy::{self, DeployInput};
use crate::step::{
    Step, StepError, container::Container, image::Image, network::Network, others::Others, probe::Probe, start::Start,
    volumes::Volumes,
};
use crate::work::Work;
use crate::{Provisioner, destroy, halt, rekey, remove_volume, repair, restart, scale, spawn, start, stop, sweep};

/// What a kind of operation consists of.
pub(crate) struct Recipe {
    /// What it says about itself.
    pub(crate) kind: &'static Kind,
    /// Done in order; undone in reverse, where it can be undone.
    pub(crate) steps: &'static [&'static dyn Step],
    /// What there is when all steps are done.
    pub(crate) leaves: Leaves,
}

/// What brings a tenant there is to run what its revision says: each step keeps what is as it should be, once nothing else holds
/// what is the tenant's.
pub(crate) const BRING_UP: &[&dyn Step] = &[&Image, &Others, &Network, &Volumes, &Container, &Start, &Probe];

/// What there is when all steps of an operation are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// A tenant that runs, told with what the spawn made.
    NewTenant,
    /// A tenant that runs.
    Tenant,
    /// A tenant that runs the revision that the operation was asked for.
    Revision,
    /// A tenant that is stopped until somebody starts it.
    Stopped,
    /// A tenant that was stopped, for the reason that the operation was asked with.
    Halted,
    /// No tenant.
    NoTenant,
    /// What was there before.
    Nothing,
}

/// Every kind of operation there is on tenants.
pub(crate) static RECIPES: [&Recipe; 12] = [
    &spawn::RECIPE,
    &deploy::RECIPE,
    &start::RECIPE,
    &stop::RECIPE,
    &restart::RECIPE,
    &destroy::RECIPE,
    &repair::RECIPE,
    &halt::RECIPE,
    &sweep::RECIPE,
    &rekey::RECIPE,
    &scale::RECIPE,
    &remove_volume::RECIPE,
];

/// Every kind of operation that this room registers.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    RECIPES.iter().map(|recipe| recipe.kind)
}

/// The names of the steps of a kind of operation, in order; none of a kind that is not this room's.
pub fn steps(kind: &str) -> Vec<&'static str> {
    let recipe = RECIPES.iter().find(|recipe| recipe.kind.name == kind);
    recipe.map_or_else(Vec::new, |recipe| recipe.steps.iter().map(|step| step.name()).collect())
}

impl Provisioner {
    /// Registers every kind of operation there is on tenants.
    pub fn register(self: &Arc<Self>, registry: Registry) -> Registry {
        RECIPES
            .iter()
            .fold(registry, |registry, recipe| registry.sequence(OnTenant { provisioner: Arc::clone(self), recipe }))
    }
}

/// A kind of operation on tenants, as the room of durable work sees it.
struct OnTenant {
    provisioner: Arc<Provisioner>,
    recipe: &'static Recipe,
}

#[async_trait]
impl Sequence for OnTenant {
    /// Each step reads of it what it needs: most kinds are asked nothing beyond their tenant.
    type Input = Value;

    fn kind(&self) -> &'static Kind {
        self.recipe.kind
    }

    fn steps(&self) -> Vec<StepInfo> {
        let info = |step: &&dyn Step| StepInfo {
            name: step.name(),
            limit: step.limit(&self.provisioner.settings, self.provisioner.operations.settings()),
            can_be_interrupted: step.can_be_interrupted(),
        };
        self.recipe.steps.iter().map(info).collect()
    }

    async fn take_up<'a>(
        &'a self,
        operation: &'a Operation,
        _input: Value,
        hold: &'a Hold,
    ) -> Result<Box<dyn Run + 'a>, convergence_work::StepError> {
        let (scope, provisioner) = (Scope::platform(), self.provisioner.as_ref());
        let target = match operation.env_id() {
            // A sweep is about what no tenant has, and the removal of a volume about none of the revisions.
            Some(env_id) if self.recipe.leaves != Leaves::Nothing => {
                let tenant = provisioner.store.tenant(&scope, env_id).await?.ok_or(StepError::Gone)?;
                let revision = match self.recipe.leaves {
                    Leaves::Revision => {
                        let number = operation.asked::<DeployInput>()?.revision.ok_or(StepError::Gone)?;
                        provisioner.store.revision(&scope, tenant.id, number).await?
                    }
                    _ => provisioner.store.current_revision(&scope, tenant.id).await?,
                };
                let revision = revision.ok_or(StepError::Gone)?;
                Some((tenant, revision))
            }
            _ => None,
        };
        let work = Work { provisioner, hold, operation: operation.clone(), target };
        Ok(Box::new(Taken { work, recipe: self.recipe }))
    }
}

struct Taken<'a> {
    work: Work<'a>,
    recipe: &'static Recipe,
}

impl Taken<'_> {
    fn step(&self, index: usize) -> Result<&'static dyn Step, StepError> {
        self.recipe.steps.get(index).copied().ok_or(StepError::Gone)
    }
}

#[async_trait]
impl Run for Taken<'_> {
    async fn act(&self, step: usize) -> Result<(), convergence_work::StepError> {
        Ok(self.step(step)?.act(&self.work).await?)
    }

    async fn undo(&self, step: usize) -> Result<(), convergence_work::StepError> {
        Ok(self.step(step)?.undo(&self.work).await?)
    }

    async fn done(&self) -> Result<Done, convergence_work::StepError> {
        // A caller that was told of the outcome sees it in the status too.
        if let Some(env_id) = self.work.operation.env_id() {
            self.work.provisioner.live.outdate(env_id);
        }
        let done = |effect| Done { effect, result: None };
        Ok(match self.recipe.leaves {
            Leaves::NewTenant => {
                let made = spawn::made(self.work.tenant()?, &self.work.binding().await?);
                Done { effect: Effect::TenantRuns, result: Some(serde_json::to_value(made)?) }
            }
            Leaves::Tenant => done(Effect::TenantRuns),
            Leaves::Revision => {
                // How often the revision before ended says nothing of this one.
                self.work.store().forgive_crashes(self.work.tenant()?.id).await?;
                done(Effect::TenantRuns)
            }
            Leaves::Stopped => {
                // How often its app ended says nothing once it is started again.
                self.work.store().forgive_crashes(self.work.tenant()?.id).await?;
                done(Effect::TenantStopped)
            }
            Leaves::Halted => {
                let asked: UpkeepInput = self.work.operation.asked()?;
                done(Effect::TenantHalted(asked.failure.or_else(|| halt::why_of_text(&asked.reason))))
            }
            Leaves::NoTenant => done(Effect::TenantGone),
            Leaves::Nothing => done(Effect::None),
        })
    }
}
