//! Other limits for a tenant: while its app runs, where its plan is the same and the engine can; else with another container.

use async_trait::async_trait;
use convergence_access::Caller;
use convergence_model::operation::Lane;
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, Limits, Scope, TenantSpec, Verb, Violation};
use convergence_runtime::RuntimeError;
use convergence_store::{NewConfiguration, NewRevision};
use convergence_work::{Effect, Failing, Kind};

use crate::Provisioner;
use crate::configure::Configured;
use crate::deploy::{self, DeployError, Manner, Wanted, unless_overtaken};
use crate::planning::PlanError;
use crate::recipe::{Leaves, Recipe};
use crate::step::{Kept, Step, StepError, container, probe::Probe, start, start::Start};
use crate::work::Work;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// Change the limits of what runs. What cannot be changed is changed back.
pub static KIND: Kind = Kind {
    name: "scale",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: true,
    checkpoint: 0,
    failing: Failing::Undo(Effect::None),
    stuck: Effect::TenantFailed,
    asked_action: "tenant.scale",
    done_action: "tenant.scaled",
    failed_action: "tenant.scale-failed",
};

pub(crate) static RECIPE: Recipe =
    Recipe { kind: &KIND, steps: &[&Resize, &Kept(&Start), &Kept(&Probe)], leaves: Leaves::Revision };

/// How a revision comes up that changes limits alone. It is refused while something else is under way: what that leaves may not
/// be what was resized.
const LIVE: Manner = Manner { kind: &KIND, verb: Verb::Scale, action: "tenant.scale", waits: false, starts: false };
/// How one comes up that needs another container.
const ANEW: Manner = Manner { kind: &deploy::KIND, ..Manner { waits: true, ..LIVE } };

/// Limits that are to be different. What is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewLimits {
    /// Thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// MiB of memory.
    pub memory_mb: Option<u32>,
    /// MiB on disk.
    pub disk_mb: Option<u32>,
}

impl NewLimits {
    /// The limits with these changes.
    pub fn of(self, before: Limits) -> Limits {
        Limits {
            cpu_millis: self.cpu_millis.unwrap_or(before.cpu_millis),
            memory_mb: self.memory_mb.unwrap_or(before.memory_mb),
            disk_mb: self.disk_mb.unwrap_or(before.disk_mb),
            ..before
        }
    }
}

impl Provisioner {
    /// Changes a tenant's limits. The template is asked what it plans with them: where that is what runs, and the engine can, the
    /// app goes on running; else another container takes its place, as of a deployment. Of a tenant that is stopped they wait
    /// for its next deployment.
    ///
    /// # Errors
    /// [`DeployError`]; nothing was changed.
    pub async fn scale(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        limits: &NewLimits,
        reason: String,
    ) -> Result<Configured, DeployError> {
        unless_overtaken(|| Box::pin(self.try_scale(scope, caller, env_id, limits, reason.clone()))).await
    }

    async fn try_scale(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        limits: &NewLimits,
        reason: String,
    ) -> Result<Configured, DeployError> {
        let tenant = self.store.tenant(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?;
        let wanted = self.wanted(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?;
        let spec = TenantSpec { limits: limits.of(wanted.spec.limits), ..wanted.spec.clone() };
        if spec.limits == wanted.spec.limits {
            return Ok(Configured::Unchanged);
        }
        if spec.limits.memory_mb < wanted.spec.limits.memory_mb && tenant.status != TenantStatus::Stopped {
            self.refuse_less_than_used(env_id, spec.limits.memory_mb).await?;
        }
        let planned = Box::pin(self.plan(scope, caller, tenant.org, spec.clone(), "scale")).await?;
        if tenant.status == TenantStatus::Stopped {
            let new = NewConfiguration {
                spec: &spec,
                secrets: &[],
                base: wanted.base,
                actor: caller.name(),
                changed: &["limits".to_owned()],
                now: self.clock.now(),
            };
            let kept = self.store.keep_configuration(scope, env_id, &new).await?;
            return kept.map(|_| Configured::Kept).ok_or(DeployError::NoTenant(env_id));
        }
        let current = match tenant.current_revision {
            Some(_) if tenant.status == TenantStatus::Running && !wanted.fresh_source => {
                self.store.current_revision(scope, tenant.id).await?
            }
            _ => None,
        };
        let runs_so = current.filter(|current| {
            let other_limits = TenantSpec { limits: planned.spec.limits, ..current.spec.clone() };
            current.plan == *planned.plan.plan() && other_limits == planned.spec && current.built.is_some()
        });
        let deployed = match runs_so {
            Some(current) if self.runtime.capabilities().live_limits => {
                let revision = NewRevision {
                    accepted_at: planned.at,
                    plan: current.plan,
                    plugins: planned.plugins,
                    limits: planned.limits,
                    reason,
                    restores: None,
                    built: current.built,
                    container: Some(current.container.unwrap_or(current.number)),
                };
                let wanted = Wanted { spec: planned.spec, ..wanted };
                self.accept(scope, caller, &tenant, wanted, revision, &LIVE, None).await?
            }
            _ => self.accept_planned(scope, caller, &tenant, wanted, planned, reason, &ANEW, None).await?,
        };
        Ok(Configured::Deploying(Box::new(deployed)))
    }

    /// Refuses memory that is used already: a kernel takes none away, it ends processes.
    async fn refuse_less_than_used(&self, env_id: EnvId, memory_mb: u32) -> Result<(), PlanError> {
        // An engine that does not answer says nothing of it, and the step finds out.
        let used = self.reading(env_id, true).await.ok().and_then(|reading| reading.usage);
        match used.map(|used| used.memory_bytes.div_ceil(MIB)) {
            Some(used) if used >= u64::from(memory_mb) => {
                let message = format!("the app uses {used} MiB now; give more, or stop the tenant first");
                Err(PlanError::Refused(vec![Violation::deny("limits.memoryMb", "in-use", message)]))
            }
            _ => Ok(()),
        }
    }
}

/// Gives the container that runs its new limits.
struct Resize;

#[async_trait]
impl Step for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        resize(work, self.name()).await
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        match work.before().await? {
            Some(before) => resize(&before, self.name()).await,
            None => Ok(()),
        }
    }

    /// An image that was removed by hand is built on the way.
    fn limit(&self, settings: &crate::Settings, work: &convergence_work::WorkSettings) -> std::time::Duration {
        settings.image_limit() + work.step_limit
    }
}

async fn resize(work: &Work<'_>, step: &'static str) -> Result<(), StepError> {
    match work.runtime()?.resize(&work.workload().await?).await {
        // It was removed by hand: one with the new limits takes its place.
        Err(RuntimeError::NotFound { .. }) => container::place(work, step, start::running(work)?).await,
        resized => Ok(resized?),
    }
}
