//! Accepting a spawn, and the steps that carry it out.

use std::collections::BTreeSet;

use convergence_access::Caller;
use convergence_model::operation::Operation;
use convergence_model::spec::TenantSpec;
use convergence_model::tenant::{Binding, Tenant};
use convergence_model::{OperationId, OrgId, Scope, Secret, TenantId};
use convergence_runtime::RuntimeError;
use convergence_store::{KeyVerifier, LOCAL_NODE, NewRevision, NewSpawn, StoreError};

use crate::Provisioner;
use crate::planning::PlanError;
use crate::step::{
    Step, container::Container, image::Image, network::Network, probe::Probe, start::Start, volumes::Volumes,
};

/// What is done, in order. A failure undoes what was done, in reverse.
pub(crate) const STEPS: &[&dyn Step] = &[&Image, &Network, &Volumes, &Container, &Start, &Probe];

/// Why a spawn was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The engine does not answer.
    #[error(transparent)]
    Engine(RuntimeError),
    /// The store refuses: the name is taken, no port is free, …
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// A spawn that was accepted: from here on it cannot be lost.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The tenant, provisioning.
    pub tenant: Tenant,
    /// What is bound to it.
    pub binding: Binding,
    /// What to wait for.
    pub operation: Operation,
    /// What the tenant presents to the platform.
    pub api_key: Secret,
}

impl Provisioner {
    /// Plans a tenant and accepts it. The work itself begins at once, elsewhere: see [`Provisioner::outcome`].
    ///
    /// # Errors
    /// [`SpawnError`]; nothing was changed.
    pub async fn spawn(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: TenantSpec,
    ) -> Result<Accepted, SpawnError> {
        if self.is_stopping() {
            return Err(SpawnError::Stopping);
        }
        let planned = self.plan(scope, caller, org, &spec).await?;
        self.runtime.ping().await.map_err(SpawnError::Engine)?;

        let tenant = TenantId(self.ids.uuid());
        let key = self.keys.tenant_key(tenant, 1);
        let spawned = self
            .store
            .begin_spawn(
                scope,
                &NewSpawn {
                    tenant,
                    org,
                    spec,
                    revision: NewRevision {
                        plan: planned.plan.into_plan(),
                        plugins: planned.plugins,
                        limits: planned.limits,
                    },
                    operation: OperationId(self.ids.uuid()),
                    node: LOCAL_NODE.to_owned(),
                    ports: self.settings.ports.clone(),
                    skip_ports: BTreeSet::new(),
                    subnets: self.settings.subnets,
                    key: KeyVerifier {
                        version: key.verifier.version,
                        lookup: key.verifier.lookup,
                        verifier: key.verifier.mac,
                    },
                    quota: self.settings.tenants_max,
                    actor: caller.name().to_owned(),
                    now: self.clock.now(),
                },
            )
            .await?;
        self.queued.notify_one();
        Ok(Accepted {
            tenant: spawned.tenant,
            binding: spawned.binding,
            operation: spawned.operation,
            api_key: key.secret,
        })
    }
}
