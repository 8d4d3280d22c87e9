//! Accepting a spawn, and the steps that carry it out.

use std::collections::BTreeSet;

use convergence_access::Caller;
use convergence_model::operation::{Lane, Made, Operation, SpawnInput};
use convergence_model::spec::TenantSpec;
use convergence_model::tenant::{Binding, Tenant};
use convergence_model::{OrgId, Scope, Secret, TenantId};
use convergence_store::{
    Conflict, Idempotency, KeyVerifier, LOCAL_NODE, NewOperation, NewRevision, NewSpawn, StoreError,
};

use convergence_work::{Effect, Failing, Kind};

use crate::Provisioner;
use crate::recipe::{Leaves, Recipe};
use crate::request::{AcceptError, asked};
use crate::step::{container::Container, image::Image, network::Network, probe::Probe, start::Start, volumes::Volumes};

/// Build and run a new tenant. One that never ran leaves nothing.
pub static KIND: Kind = Kind {
    name: "spawn",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: true,
    checkpoint: 0,
    failing: Failing::Undo(Effect::TenantGone),
    stuck: Effect::TenantFailed,
    asked_action: "tenant.spawn",
    done_action: "tenant.spawned",
    failed_action: "tenant.spawn-failed",
};

pub(crate) static RECIPE: Recipe =
    Recipe { kind: &KIND, steps: &[&Image, &Network, &Volumes, &Container, &Start, &Probe], leaves: Leaves::NewTenant };

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
    /// Plans a tenant and accepts it. The work itself begins at once, elsewhere: see [`Operations::outcome`](convergence_work::Operations::outcome).
    ///
    /// A request that was sent before with the same idempotency key changes nothing and answers the operation it began
    /// then. Only what is accepted uses a key up: a request that was refused may be sent again with the same one.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing was changed.
    pub async fn spawn(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: TenantSpec,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, AcceptError> {
        if self.operations.is_stopping() {
            return Err(AcceptError::Stopping);
        }
        if let Some(accepted) = self.begun_with(scope, org, idempotency.as_ref()).await? {
            return Ok(accepted);
        }
        let planned = Box::pin(self.plan(scope, caller, org, spec, "spawn")).await?;
        self.builder.ping().await.map_err(AcceptError::Engine)?;
        self.runtime.ping().await.map_err(AcceptError::Engine)?;

        let tenant = TenantId(self.ids.uuid());
        let verifier = self.keys.tenants.tenant_key(tenant, 1).verifier;
        let operation = self.operations.new_operation(&KIND, asked(&SpawnInput { tenant }), caller.name());
        let new = NewSpawn {
            tenant,
            org,
            spec: planned.spec,
            revision: NewRevision {
                accepted_at: planned.at,
                plan: planned.plan.into_plan(),
                plugins: planned.plugins,
                limits: planned.limits,
                reason: String::new(),
                restores: None,
                built: None,
                container: None,
            },
            operation: NewOperation { idempotency, ..operation },
            node: LOCAL_NODE.to_owned(),
            ports: self.settings.ports.clone(),
            skip_ports: BTreeSet::new(),
            subnets: self.settings.subnets,
            key: KeyVerifier { version: verifier.version, lookup: verifier.lookup, verifier: verifier.mac },
            quota: self.settings.tenants_max,
            backlog_max: self.operations.settings().backlog_max,
        };
        match self.store.begin_spawn(scope, &new).await {
            Ok(spawned) => {
                self.operations.queued(KIND.lane);
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

    /// What the tenant of a spawn presents to the platform; none where the operation is no spawn.
    pub fn api_key(&self, operation: &Operation, made: &Made) -> Option<Secret> {
        let SpawnInput { tenant } = operation.asked().ok()?;
        Some(self.keys.tenants.tenant_key(tenant, made.key_version).secret)
    }

    async fn begun_with(
        &self,
        scope: &Scope,
        org: OrgId,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Accepted>, StoreError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let Some(operation) = self.store.begun_with(scope, org, idempotency).await? else { return Ok(None) };
        let made = match (&operation.result, operation.env_id()) {
            (Some(result), _) => serde_json::from_value(result.clone()).ok(),
            (None, Some(env_id)) => match self.store.tenant(scope, env_id).await? {
                Some(tenant) => self.store.binding(scope, tenant.id).await?.map(|binding| made(&tenant, &binding)),
                None => None,
            },
            (None, None) => None,
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
