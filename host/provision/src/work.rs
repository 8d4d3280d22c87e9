//! One operation in the hands of a worker: what the steps work with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use convergence_model::build::BuildLine;
use convergence_model::operation::{EventKind, Operation};
use convergence_model::tenant::{Binding, Built, Revision, Tenant};
use convergence_model::workload::{Subnet, Workload};
use convergence_model::{EnvId, EnvName, OperationId, Scope, Secret};
use convergence_render::{GuardedPlan, Projection, names};
use convergence_runtime::{Builder, Owner, Runtime};
use convergence_store::{NewEvent, Store};
use convergence_work::{Class, Hold, StepFailure};

use crate::Provisioner;
use crate::step::StepError;

/// How long a port or a network that somebody else was found on is left alone.
const QUARANTINE: Duration = Duration::from_secs(600);
/// Lines of progress kept of one step.
const LINES_MAX: usize = 2000;
/// Lines of progress kept in one transaction.
const BATCH: usize = 100;

/// One operation in the hands of a worker.
pub(crate) struct Work<'a> {
    pub(crate) provisioner: &'a Provisioner,
    pub(crate) hold: &'a Hold,
    pub(crate) operation: Operation,
    /// What the store knows of the tenant, and its newest revision. A sweep has neither.
    pub(crate) target: Option<(Tenant, Revision)>,
}

impl Work<'_> {
    /// What runs workloads, for as long as nobody else can have taken the operation.
    pub(crate) fn runtime(&self) -> Result<&dyn Runtime, StepError> {
        self.hold.check()?;
        Ok(self.provisioner.runtime.as_ref())
    }

    /// What builds images, for as long as nobody else can have taken the operation.
    pub(crate) fn builder(&self) -> Result<&dyn Builder, StepError> {
        self.hold.check()?;
        Ok(self.provisioner.builder.as_ref())
    }

    pub(crate) fn tenant(&self) -> Result<&Tenant, StepError> {
        self.target.as_ref().map(|(tenant, _)| tenant).ok_or(StepError::Gone)
    }

    pub(crate) fn revision(&self) -> Result<&Revision, StepError> {
        self.target.as_ref().map(|(_, revision)| revision).ok_or(StepError::Gone)
    }

    /// The same operation on the revision that the tenant runs until this one is done; none where it runs none yet.
    pub(crate) async fn before(&self) -> Result<Option<Work<'_>>, StepError> {
        let Some(tenant) = self.store().tenant(&Self::scope(), self.env_id()).await? else {
            return Err(StepError::Gone);
        };
        let Some(current) = tenant.current_revision else { return Ok(None) };
        let revision = self.store().revision(&Self::scope(), tenant.id, current).await?.ok_or(StepError::Gone)?;
        let (provisioner, hold, operation) = (self.provisioner, self.hold, self.operation.clone());
        Ok(Some(Work { provisioner, hold, operation, target: Some((tenant, revision)) }))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.provisioner.store
    }

    /// The platform's own reach: the caller's was checked when the operation was accepted.
    pub(crate) fn scope() -> Scope {
        Scope::platform()
    }

    /// Whose things in the engine this operation may remove.
    pub(crate) fn owner(&self) -> Owner<'_> {
        Owner { instance: &self.provisioner.settings.instance, tenant: self.env_id() }
    }

    /// The number of the tenant; 0 where the operation is about what no tenant has.
    pub(crate) fn env_id(&self) -> EnvId {
        self.operation.env_id().unwrap_or(EnvId(0))
    }

    /// The name of the tenant's workload, and of its boundary.
    pub(crate) fn name(&self) -> String {
        names::container(&self.provisioner.settings.name_prefix, self.env_id())
    }

    /// The name of one of the tenant's volumes.
    pub(crate) fn volume_name(&self, volume: &str) -> String {
        names::volume(&self.provisioner.settings.name_prefix, self.env_id(), volume)
    }

    /// The plan, held against the rules once more: rules may have become stricter since it was accepted.
    pub(crate) fn plan(&self) -> Result<GuardedPlan, StepError> {
        let rules = self.provisioner.rules(&self.revision()?.spec, self.revision()?.limits.memory_mb);
        GuardedPlan::recheck(self.revision()?.plan.clone(), &rules).map_err(StepError::PlanRefused)
    }

    /// What is bound to the tenant now; a port may have moved since the operation began.
    pub(crate) async fn binding(&self) -> Result<Binding, StepError> {
        self.store().binding(&Self::scope(), self.tenant()?.id).await?.ok_or(StepError::Gone)
    }

    /// The golden projection of the revision as it is built and bound now.
    pub(crate) async fn workload(&self) -> Result<Workload, StepError> {
        let binding = self.binding().await?;
        let revision = self.store().revision(&Self::scope(), self.tenant()?.id, self.revision()?.number).await?;
        let built = revision.and_then(|revision| revision.built).ok_or(StepError::Gone)?;
        let plan = self.plan()?;
        let secrets = self.provisioner.opened(self.tenant()?.id, self.revision()?).await?;
        let (tenant, revision, operation) = (self.tenant()?, self.revision()?, self.operation.id);
        Ok(self.provisioner.project(tenant, &binding, revision, &plan, &built, secrets, operation))
    }

    /// Leases another port because somebody else sits on the present one.
    pub(crate) async fn move_port(&self) -> Result<u16, StepError> {
        let now = self.provisioner.clock.now();
        let until = now.saturating_add(QUARANTINE).unwrap_or(now);
        let settings = &self.provisioner.settings;
        let ports = settings.ports.clone();
        Ok(self.store().move_port(self.hold.lease(), until, ports, &BTreeSet::new(), now).await?)
    }

    /// Leases another network because something outside uses addresses of the present one.
    pub(crate) async fn move_subnet(&self) -> Result<Subnet, StepError> {
        let now = self.provisioner.clock.now();
        let until = now.saturating_add(QUARANTINE).unwrap_or(now);
        Ok(self.store().move_subnet(self.hold.lease(), until, self.provisioner.settings.subnets, now).await?)
    }

    /// Appends to the operation's history and tells everybody who watches.
    pub(crate) async fn record(&self, step: &str, event: EventKind, detail: &str) -> Result<(), StepError> {
        self.record_all(&[NewEvent { step, event, detail }]).await
    }

    async fn record_all(&self, events: &[NewEvent<'_>]) -> Result<(), StepError> {
        Ok(self.provisioner.operations.record_all(self.hold, events).await?)
    }

    /// Runs `work` while what it reports is appended to the history, in order. The history is bounded, so a
    /// build that prints for ever fills neither the disk nor memory.
    pub(crate) async fn with_progress<T, F>(
        &self,
        step: &str,
        work: impl FnOnce(tokio::sync::mpsc::Sender<BuildLine>) -> F,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, convergence_runtime::RuntimeError>>,
    {
        let (lines, mut incoming) = tokio::sync::mpsc::channel::<BuildLine>(256);
        let keep = async {
            let (mut kept, mut batch) = (0, Vec::new());
            while incoming.recv_many(&mut batch, BATCH).await > 0 {
                let details: Vec<String> = batch.drain(..).take(LINES_MAX.saturating_sub(kept)).map(shown).collect();
                kept += details.len();
                let lines = details.iter().map(|detail| NewEvent { step, event: EventKind::Line, detail });
                let lines: Vec<_> = lines.collect();
                match if lines.is_empty() { Ok(()) } else { self.record_all(&lines).await } {
                    Err(error) if error.class() == Class::Lost => return Err(error),
                    // Lines of progress are not worth a good build.
                    Err(error) => tracing::warn!(%error, "lines of progress are lost"),
                    Ok(()) => {}
                }
            }
            Ok(())
        };
        let (outcome, recorded) = tokio::join!(work(lines), keep);
        recorded?;
        Ok(outcome?)
    }
}

/// A line of a build, human-readable. The whole instruction is told once, when it begins; after that its number is enough.
fn shown(line: BuildLine) -> String {
    let BuildLine { step, text } = line;
    let number = step.find(']').and_then(|end| step.get(..=end)).filter(|_| text != "started").unwrap_or(&step);
    if number.is_empty() { text } else { format!("{number} {text}") }
}

impl Provisioner {
    /// The golden projection of a tenant, its binding and a revision with its secrets.
    #[expect(clippy::too_many_arguments, reason = "each is another noun of what is projected")]
    pub(crate) fn project(
        &self,
        tenant: &Tenant,
        binding: &Binding,
        revision: &Revision,
        plan: &GuardedPlan,
        built: &Built,
        secrets: BTreeMap<EnvName, Secret>,
        operation: OperationId,
    ) -> Workload {
        let key = self.keys.tenants.tenant_key(tenant.id, binding.key_version);
        convergence_render::project(
            &Projection {
                instance: &self.settings.instance,
                name_prefix: &self.settings.name_prefix,
                tenant,
                spec: &revision.spec,
                binding,
                revision: revision.container.unwrap_or(revision.number),
                operation,
                image: built.image(),
                declared: built.declared.as_ref(),
                published: self.runtime.capabilities().host_ports,
                limits: revision.limits,
                platform: &self.settings.platform,
                api_key: key.secret,
                secrets,
            },
            plan,
        )
    }

    pub(crate) fn dockerfile_options(&self) -> convergence_render::DockerfileOptions {
        convergence_render::DockerfileOptions { ca_bundle: self.settings.ca_bundle.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_told_once_and_its_lines_by_its_number() {
        let line = |step: &str, text: &str| shown(BuildLine { step: step.to_owned(), text: text.to_owned() });
        let step = r#"[build 4/6] RUN ["npm","ci"]"#;
        assert_eq!(line(step, "started"), r#"[build 4/6] RUN ["npm","ci"] started"#);
        assert_eq!(line(step, "added 3 packages"), "[build 4/6] added 3 packages");
        assert_eq!(line("", "pulling"), "pulling");
        assert_eq!(line("exporting", "done"), "exporting done");
    }
}
