//! Tenants: the two transactions that change what exists, and how they are read.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use convergence_model::operation::{Failure, Lane, Operation, Subject};
use convergence_model::tenant::{Binding, Tenant, TenantStatus};
use convergence_model::{EnvId, OrgId, RevisionNumber, Scope, TenantId, TenantSpec};

use crate::binding::{self, BindingRow, Pools};
use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::key::{self, KeyVerifier};
use crate::operation::{self, NewOperation};
use crate::revision::{self, Author, NewRevision};
use crate::{Conflict, Result, Store, audit, idempotency, name, source};

/// The name of the machine the server itself runs on, the only node there is until others are registered.
pub const LOCAL_NODE: &str = "local";

/// Everything a spawn leaves in the database.
#[derive(Debug, Clone)]
pub struct NewSpawn {
    /// The tenant's id.
    pub tenant: TenantId,
    /// Who will own it.
    pub org: OrgId,
    /// What it should be.
    pub spec: TenantSpec,
    /// Its first revision.
    pub revision: NewRevision,
    /// The operation that will do the work, with who asks and when.
    pub operation: NewOperation,
    /// What verifies its key, which is derived from `tenant` and so known before.
    pub key: KeyVerifier,
    /// The machine it will run on; [`LOCAL_NODE`].
    pub node: String,
    /// Ports to lease from, lowest first.
    pub ports: RangeInclusive<u16>,
    /// Ports somebody else listens on.
    pub skip_ports: BTreeSet<u16>,
    /// Networks to lease from, first one first.
    pub subnets: SubnetPool,
    /// Tenants the organization may have, the new one included; `None` for any number.
    pub quota: Option<u32>,
    /// Operations that may be unfinished, the new one included.
    pub backlog_max: u32,
}

/// Networks that tenants get theirs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubnetPool {
    /// Where the first one begins.
    pub first: Ipv4Addr,
    /// How many there are, each of [`Subnet::SIZE`](convergence_model::workload::Subnet::SIZE) addresses.
    pub count: u32,
}

/// What a spawn begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spawned {
    /// The tenant, provisioning.
    pub tenant: Tenant,
    /// What is bound to it.
    pub binding: Binding,
    /// The operation, queued.
    pub operation: Operation,
}

/// Which tenants to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantQuery {
    /// Only this organization's.
    pub org: Option<OrgId>,
    /// Only those with a greater public id: where the page before ended.
    pub after: Option<EnvId>,
    /// At most so many.
    pub limit: u32,
}

#[derive(sqlx::FromRow)]
struct TenantRow {
    id: String,
    env_id: i64,
    org: i64,
    spec: String,
    status: String,
    protected: i64,
    staged: i64,
    secrets_set: i64,
    current_revision: Option<i64>,
    failure: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl TenantRow {
    fn read(self) -> Result<Tenant> {
        let at = At { table: "tenants", id: &self.env_id };
        Ok(Tenant {
            id: TenantId(at.parse("id", &self.id)?),
            env_id: EnvId(self.env_id),
            org: OrgId(self.org),
            spec: at.json("spec", &self.spec)?,
            status: at.word("status", &self.status, TenantStatus::parse)?,
            protected: self.protected != 0,
            staged: at.narrow("staged", self.staged)?,
            secrets_set: at.narrow("secrets_set", self.secrets_set)?,
            current_revision: self.current_revision.map(RevisionNumber),
            failure: self.failure.map(|text| at.json::<Failure>("failure", &text)).transpose()?,
            created_at: at.time("created_at", self.created_at)?,
            updated_at: at.time("updated_at", self.updated_at)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct ListedRow {
    #[sqlx(flatten)]
    tenant: TenantRow,
    #[sqlx(flatten)]
    binding: BindingRow,
}

impl ListedRow {
    fn read(self) -> Result<(Tenant, Binding)> {
        let tenant = self.tenant.read()?;
        let binding = self.binding.read(tenant.id)?;
        Ok((tenant, binding))
    }
}

impl Store {
    /// Makes a tenant that cannot be lost any more: tenant, port, network, binding, key verifier, first
    /// revision, queued operation and audit row, or none of them.
    ///
    /// # Errors
    /// [`Conflict::NoOrganization`] (absent or out of reach), [`Conflict::KeyReused`], [`Conflict::AlreadyBegun`],
    /// [`Conflict::QueueFull`], [`Conflict::QuotaReached`], [`Conflict::NameTaken`], [`Conflict::NoSource`], [`Conflict::PortsExhausted`],
    /// [`Conflict::SubnetsExhausted`]; when the database does not answer.
    pub async fn begin_spawn(&self, scope: &Scope, new: &NewSpawn) -> Result<Spawned> {
        if !scope.covers(new.org) {
            return Err(Conflict::NoOrganization(new.org).into());
        }
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let turn = audit::turn(&mut tx, new.org).await?.ok_or(Conflict::NoOrganization(new.org))?;
                let asked = &new.operation;
                idempotency::refuse_begun(&mut tx, new.org, asked.idempotency.as_ref()).await?;
                refuse_full_queue(&mut tx, asked.lane, new.backlog_max).await?;
                refuse_over_quota(&mut tx, new.org, new.quota).await?;
                source::refuse_unknown(&mut tx, new.org, &new.spec.source, asked.now).await?;
                name::refuse_taken(&mut tx, new.org, &new.spec.name, None).await?;
                let (tenant, now) = (insert(&mut tx, new).await?, asked.now);
                let pools = Pools { node: &new.node, ports: &new.ports, skip: &new.skip_ports, subnets: new.subnets };
                let binding = binding::insert(&mut tx, tenant.id, &pools, new.key.version, now).await?;
                key::insert(&mut tx, tenant.id, &new.key, now).await?;
                let author = Author { spec: &new.spec, operation: asked.id, actor: &asked.actor };
                revision::insert(&mut tx, tenant.id, RevisionNumber(1), &new.revision, author).await?;
                let subject = Subject::tenant(tenant.env_id);
                let operation = operation::insert(&mut tx, tenant.org, &subject, asked).await?;
                let detail =
                    serde_json::json!({ "operation": operation.id, "name": new.spec.name, "port": binding.port });
                let (actor, env_id) = (asked.actor.as_str(), Some(tenant.env_id));
                turn.record(&mut tx, audit::Entry { at: now, actor, action: "tenant.spawn", env_id, detail }).await?;
                tx.commit().await?;
                Ok(Spawned { tenant, binding, operation })
            })
            .await
    }

    /// A tenant within reach. One whose removal is complete is absent.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn tenant(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Tenant>> {
        let sql = "SELECT id, env_id, org, spec, status, protected, staged, secrets_set, current_revision, failure, created_at, updated_at \
             FROM tenants WHERE env_id = $1 AND ($2 IS NULL OR org = $2)";
        let row: Option<TenantRow> = self.database.first(sql, values![env_id, scope]).await?;
        row.map(TenantRow::read).transpose()
    }

    /// Tenants within reach and what is bound to each, in the order of their public ids.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn tenants(&self, scope: &Scope, query: TenantQuery) -> Result<Vec<(Tenant, Binding)>> {
        let sql = "SELECT t.id, t.env_id, t.org, t.spec, t.status, t.protected, t.staged, t.secrets_set, t.current_revision, t.failure, t.created_at, t.updated_at, \
             b.port, b.subnet, b.key_version FROM tenants t JOIN bindings b ON b.tenant = t.id \
             WHERE t.env_id > $1 AND ($2 IS NULL OR t.org = $2) AND ($3 IS NULL OR t.org = $3) \
             ORDER BY t.env_id LIMIT $4";
        let after = query.after.map_or(0, |env_id| env_id.0);
        let org = query.org.map(|org| org.0);
        let rows: Vec<ListedRow> = self.database.all(sql, values![after, org, scope, query.limit]).await?;
        rows.into_iter().map(ListedRow::read).collect()
    }
}

pub(crate) async fn refuse_full_queue(tx: &mut Tx, lane: Lane, limit: u32) -> Result<()> {
    let sql = "SELECT COUNT(*) FROM operations WHERE lane = $1 AND state IN ('queued', 'running')";
    let (unfinished,): (i64,) = tx.one(sql, values![lane.as_str()]).await?;
    if unfinished >= i64::from(limit) { Err(Conflict::QueueFull { limit }.into()) } else { Ok(()) }
}

async fn refuse_over_quota(tx: &mut Tx, org: OrgId, quota: Option<u32>) -> Result<()> {
    let Some(limit) = quota else { return Ok(()) };
    let (tenants,): (i64,) = tx.one("SELECT COUNT(*) FROM tenants WHERE org = $1", values![org]).await?;
    if tenants >= i64::from(limit) { Err(Conflict::QuotaReached { limit }.into()) } else { Ok(()) }
}

async fn insert(tx: &mut Tx, new: &NewSpawn) -> Result<Tenant> {
    let sql = "INSERT INTO tenants \
         (id, org, name, spec, status, cpu_millis, memory_mb, disk_mb, replicas, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, 'provisioning', $5, $6, $7, $8, $9, $9) \
         RETURNING id, env_id, org, spec, status, protected, staged, secrets_set, current_revision, failure, created_at, updated_at";
    let (name, spec, limits) = (new.spec.name.as_str(), to_json(&new.spec)?, new.revision.limits);
    let values = values![
        new.tenant,
        new.org,
        name,
        spec,
        limits.cpu_millis,
        limits.memory_mb,
        limits.disk_mb,
        limits.replicas,
        new.operation.now,
    ];
    tx.one::<TenantRow>(sql, values).await?.read()
}
