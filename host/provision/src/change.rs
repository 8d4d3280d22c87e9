//! What is changed of a tenant without touching what runs.

use convergence_access::Caller;
use convergence_model::tenant::Tenant;
use convergence_model::{EnvId, Scope};
use convergence_store::{StoreError, TenantChange};

use crate::Provisioner;

impl Provisioner {
    /// Changes a tenant's name or protection; `None` where there is no such tenant within reach.
    ///
    /// # Errors
    /// The name is taken; the tenant is being removed; the store does not answer.
    pub async fn change(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        change: &TenantChange,
    ) -> Result<Option<Tenant>, StoreError> {
        self.store.change_tenant(scope, env_id, change, caller.name(), self.clock.now()).await
    }
}
