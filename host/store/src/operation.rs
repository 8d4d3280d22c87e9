//! Operations: durable pieces of work on one tenant, and how they are read. They outlive their tenant.

use convergence_model::operation::{Operation, OperationKind, OperationState};
use convergence_model::tenant::Tenant;
use convergence_model::{EnvId, OperationId, OrgId, Scope, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::{Result, Store};

#[derive(sqlx::FromRow)]
pub(crate) struct OperationRow {
    id: String,
    org: i64,
    tenant: String,
    env_id: i64,
    kind: String,
    state: String,
    failure: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl OperationRow {
    pub(crate) fn read(self) -> Result<Operation> {
        let at = At { table: "operations", id: &self.id };
        Ok(Operation {
            id: OperationId(at.parse("id", &self.id)?),
            org: OrgId(self.org),
            tenant: TenantId(at.parse("tenant", &self.tenant)?),
            env_id: EnvId(self.env_id),
            kind: at.word("kind", &self.kind, OperationKind::parse)?,
            state: at.word("state", &self.state, OperationState::parse)?,
            failure: self.failure.map(|failure| at.json("failure", &failure)).transpose()?,
            created_at: at.time("created_at", self.created_at)?,
            updated_at: at.time("updated_at", self.updated_at)?,
        })
    }
}

impl Store {
    /// An operation within reach, also when its tenant is gone.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn operation(&self, scope: &Scope, operation: OperationId) -> Result<Option<Operation>> {
        let sql = "SELECT id, org, tenant, env_id, kind, state, failure, created_at, updated_at \
             FROM operations WHERE id = $1 AND ($2 IS NULL OR org = $2)";
        let row: Option<OperationRow> = self.database.first(sql, values![operation, scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// The operation on a tenant that is not finished, if there is one. There is never more than one.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn active_operation(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Operation>> {
        let sql = "SELECT id, org, tenant, env_id, kind, state, failure, created_at, updated_at FROM operations \
             WHERE env_id = $1 AND ($2 IS NULL OR org = $2) AND state IN ('queued', 'running')";
        let row: Option<OperationRow> = self.database.first(sql, values![env_id, scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// The operation on a tenant that was accepted last, finished or not.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn latest_operation(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Operation>> {
        let sql = "SELECT id, org, tenant, env_id, kind, state, failure, created_at, updated_at FROM operations \
             WHERE env_id = $1 AND ($2 IS NULL OR org = $2) ORDER BY created_at DESC, id DESC LIMIT 1";
        let row: Option<OperationRow> = self.database.first(sql, values![env_id, scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// How many operations are queued or running, over all organizations. For the platform's own work:
    /// draining, metrics, tests.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unfinished(&self) -> Result<u64> {
        let sql = "SELECT COUNT(*) FROM operations WHERE state IN ('queued', 'running')";
        let row: Option<(i64,)> = self.database.first(sql, Vec::new()).await?;
        row.map_or(Ok(0), |(count,)| At { table: "operations", id: &"(all)" }.narrow("COUNT", count))
    }
}

/// An operation to be.
pub(crate) struct NewOperation<'a> {
    pub(crate) id: OperationId,
    pub(crate) tenant: &'a Tenant,
    pub(crate) kind: OperationKind,
    pub(crate) actor: &'a str,
}

/// Adds a queued operation.
pub(crate) async fn insert(tx: &mut Tx, new: NewOperation<'_>, now: Timestamp) -> Result<Operation> {
    let sql = "INSERT INTO operations (id, org, tenant, env_id, kind, state, actor, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $7) \
         RETURNING id, org, tenant, env_id, kind, state, failure, created_at, updated_at";
    let tenant = new.tenant;
    let values = values![new.id, tenant.org, tenant.id, tenant.env_id, new.kind.as_str(), new.actor, now];
    tx.one::<OperationRow>(sql, values).await?.read()
}
