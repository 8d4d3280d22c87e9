//! What can be read of a tenant: how it is, its Compose file, its container.

use std::time::Duration;

use convergence_model::tenant::{Tenant, TenantStatus};
use convergence_model::{EnvId, OperationId, Scope, Secret};
use convergence_render::{GuardedPlan, names};
use convergence_store::StoreError;

use crate::live::{ContainerReport, UsageReport};
use crate::{PlanError, Provisioner};

/// How a tenant is.
#[derive(Debug, Clone)]
pub struct Report {
    /// The tenant as it is stored.
    pub tenant: Tenant,
    /// What it is doing, as the engine sees it where the store says it runs.
    pub status: TenantStatus,
    /// Its container's name.
    pub container_name: String,
    /// Its port on the host.
    pub port: u16,
    /// How long its container has been running.
    pub uptime: Option<Duration>,
    /// What its container uses.
    pub usage: Option<UsageReport>,
    /// What the engine knows of its container; none where there is none, or the engine does not answer.
    pub container: Option<ContainerReport>,
}

impl Provisioner {
    /// How a tenant is, or `None` where there is none within reach. An engine that does not answer leaves the
    /// live figures out; it does not fail the question.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn status(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Report>, StoreError> {
        let Some(tenant) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        let Some(binding) = self.store.binding(scope, tenant.id).await? else { return Ok(None) };
        let mut report = Report {
            status: tenant.status,
            tenant,
            container_name: self.container_name(env_id),
            port: binding.port,
            uptime: None,
            usage: None,
            container: None,
        };
        let should_run = report.status == TenantStatus::Running;
        match self.reading(env_id, should_run).await {
            Ok(reading) => {
                let age = reading.started_at.map(|start| self.clock.now().duration_since(start));
                report.uptime = age.map(|age| age.try_into().unwrap_or_default());
                report.usage = reading.usage;
                report.container = reading.container;
                if should_run && reading.started_at.is_none() {
                    report.status = TenantStatus::Stopped;
                }
            }
            Err(error) => tracing::warn!(%error, tenant = env_id.0, "no live figures"),
        }
        Ok(Some(report))
    }

    /// The Compose file that runs the same container, or `None` where there is no tenant within reach or
    /// nothing is built yet.
    ///
    /// # Errors
    /// The store does not answer, or the plan is not allowed any more.
    pub async fn compose(&self, scope: &Scope, env_id: EnvId) -> Result<Option<String>, PlanError> {
        let Some(tenant) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        let binding = self.store.binding(scope, tenant.id).await?;
        let revision = self.store.current_revision(scope, tenant.id).await?;
        let (Some(binding), Some(revision)) = (binding, revision) else { return Ok(None) };
        let Some(built) = revision.built.clone() else { return Ok(None) };
        let rules = self.rules(&revision.spec, revision.limits.memory_mb);
        let plan = GuardedPlan::recheck(revision.plan.clone(), &rules)
            .map_err(|violations| PlanError::BadPlan { plugin: revision.spec.language.clone(), violations })?;
        let nobody = OperationId(uuid::Uuid::nil());
        // A secret is shown as a reference, and need not be opened.
        let secrets = revision.spec.secrets.keys().map(|name| (name.clone(), Secret::new(""))).collect();
        let workload = self.project(&tenant, &binding, &revision, &plan, &built, secrets, nobody);
        Ok(Some(convergence_render::compose(&workload)))
    }

    /// The name of a tenant's container, or `None` where there is no tenant within reach.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn container_of(&self, scope: &Scope, env_id: EnvId) -> Result<Option<String>, StoreError> {
        let tenant = self.store.tenant(scope, env_id).await?;
        Ok(tenant.map(|tenant| self.container_name(tenant.env_id)))
    }

    /// What the container of a tenant is called.
    pub fn container_name(&self, env_id: EnvId) -> String {
        names::container(&self.settings.name_prefix, env_id)
    }
}
