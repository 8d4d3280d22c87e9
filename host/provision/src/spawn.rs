//! Accepting a spawn, and the steps that carry it out.

use std::collections::BTreeSet;

use convergence_access::Caller;
use convergence_model::operation::{Input, Made, Operation, OperationKind};
use convergence_model::spec::TenantSpec;
use convergence_model::tenant::{Binding, Tenant};
use convergence_model::{OrgId, Scope, Secret, TenantId};
use convergence_runtime::RuntimeError;
use convergence_store::{
    Conflict, Fate, Idempotency, KeyVerifier, LOCAL_NODE, NewOperation, NewRevision, NewSpawn, StoreError,
};

use crate::Provisioner;
use crate::operations::{Failing, Recipe};
use crate::planning::PlanError;
use crate::step::{container::Container, image::Image, network::Network, probe::Probe, start::Start, volumes::Volumes};

/// A tenant that never ran leaves nothing.
pub(crate) const RECIPE: Recipe = Recipe {
    steps: &[&Image, &Network, &Volumes, &Container, &Start, &Probe],
    done: (Fate::Runs, "tenant.spawned"),
    failing: Failing::Undo,
    cancellable: true,
    failed: "tenant.spawn-failed",
};

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
    /// What to wait for.
    pub operation: Operation,
    /// What is made. None when the same request was sent before and its tenant is gone.
    pub made: Option<Made>,
    /// Whether this is the operation that an earlier request with the same idempotency key began.
    pub replayed: bool,
}

impl Provisioner {
    /// Plans a tenant and accepts it. The work itself begins at once, elsewhere: see [`Provisioner::outcome`].
    ///
    /// A request that was sent before with the same idempotency key changes nothing and answers the operation it began
    /// then. Only what is accepted uses a key up: a request that was refused may be sent again with the same one.
    ///
    /// # Errors
    /// [`SpawnError`]; nothing was changed.
    pub async fn spawn(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: TenantSpec,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, SpawnError> {
        if self.is_stopping() {
            return Err(SpawnError::Stopping);
        }
        if let Some(accepted) = self.begun_with(scope, org, idempotency.as_ref()).await? {
            return Ok(accepted);
        }
        let planned = self.plan(scope, caller, org, &spec).await?;
        self.runtime.ping().await.map_err(SpawnError::Engine)?;

        let tenant = TenantId(self.ids.uuid());
        let verifier = self.keys.tenant_key(tenant, 1).verifier;
        let operation = self.new_operation(OperationKind::Spawn, Input::default(), caller.name());
        let new = NewSpawn {
            tenant,
            org,
            spec,
            revision: NewRevision { plan: planned.plan.into_plan(), plugins: planned.plugins, limits: planned.limits },
            operation: NewOperation { idempotency, ..operation },
            node: LOCAL_NODE.to_owned(),
            ports: self.settings.ports.clone(),
            skip_ports: BTreeSet::new(),
            subnets: self.settings.subnets,
            key: KeyVerifier { version: verifier.version, lookup: verifier.lookup, verifier: verifier.mac },
            quota: self.settings.tenants_max,
            backlog_max: self.settings.operations.backlog_max,
        };
        match self.store.begin_spawn(scope, &new).await {
            Ok(spawned) => {
                self.queued.notify_one();
                let made = Some(made(&spawned.tenant, &spawned.binding));
                Ok(Accepted { operation: spawned.operation, made, replayed: false })
            }
            // The same request came twice at the same moment, and the other one was faster.
            Err(StoreError::Conflict(refused @ Conflict::AlreadyBegun { .. })) => {
                let begun = self.begun_with(scope, org, new.operation.idempotency.as_ref()).await?;
                begun.ok_or_else(|| StoreError::from(refused).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the tenant of a spawn presents to the platform.
    pub fn api_key(&self, operation: &Operation, made: &Made) -> Secret {
        self.keys.tenant_key(operation.tenant, made.key_version).secret
    }

    async fn begun_with(
        &self,
        scope: &Scope,
        org: OrgId,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Accepted>, StoreError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let Some(operation) = self.store.begun_with(scope, org, idempotency).await? else { return Ok(None) };
        let made = match &operation.result {
            Some(made) => Some(made.clone()),
            None => {
                let tenant = self.store.tenant(scope, operation.env_id).await?;
                let binding = self.store.binding(scope, operation.tenant).await?;
                tenant.zip(binding).map(|(tenant, binding)| made(&tenant, &binding))
            }
        };
        Ok(Some(Accepted { operation, made, replayed: true }))
    }
}

/// What a spawn makes, as it is bound now.
pub(crate) fn made(tenant: &Tenant, binding: &Binding) -> Made {
    Made {
        name: tenant.spec.name.to_string(),
        port: binding.port,
        key_version: binding.key_version,
        created_at: tenant.created_at,
    }
}
