//! What is changed of a tenant without touching what runs.

use convergence_access::Caller;
use convergence_model::tenant::Tenant;
use convergence_model::{EnvId, Scope, TenantName, TenantSpec};
use convergence_store::TenantChange;

use crate::Provisioner;
use crate::planning::{PlanError, passed};

impl Provisioner {
    /// Changes a tenant's name or protection; `None` where there is no such tenant within reach. Policies are asked about
    /// another name.
    ///
    /// # Errors
    /// A policy refuses the name, or failed; the name is taken; the tenant is being removed; the store does not answer.
    pub async fn change(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        change: &TenantChange,
    ) -> Result<Option<Tenant>, PlanError> {
        let Some(tenant) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        if let Some(name) = change.name.as_ref().filter(|name| **name != tenant.spec.name) {
            self.review_name(scope, caller, tenant, name.clone()).await?;
        }
        Ok(self.store.change_tenant(scope, env_id, change, caller.name(), self.clock.now()).await?)
    }

    /// Asks policies about another name of a tenant, whose limits stay what they are.
    async fn review_name(
        &self,
        scope: &Scope,
        caller: &Caller,
        tenant: Tenant,
        name: TenantName,
    ) -> Result<(), PlanError> {
        let current = self.store.current_revision(scope, tenant.id).await?;
        let spec = TenantSpec { name, ..tenant.spec };
        match current {
            Some(current) => self.review_again(scope, caller, tenant.org, &spec, "configure", &current).await.map(drop),
            None => {
                let review = self.review(scope, caller, tenant.org, &spec, "configure").await?;
                passed(self.catalogue.snapshot().review(review).await?, Vec::new()).map(drop)
            }
        }
    }
}
