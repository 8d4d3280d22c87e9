//! Operations: durable pieces of work on one tenant, and how they are read. They outlive their tenant.

use std::time::Duration;

use convergence_model::operation::{Direction, Input, Operation, OperationKind, OperationState};
use convergence_model::{EnvId, OperationId, OrgId, Scope, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::lease::micros;
use crate::{Result, Store};

/// The columns of an [`OperationRow`].
macro_rules! columns {
    () => {
        "id, org, tenant, env_id, kind, input, state, direction, progress, retries, crashes, cancel, failure, result, \
         created_at, updated_at"
    };
}
pub(crate) use columns;

#[derive(sqlx::FromRow)]
pub(crate) struct OperationRow {
    pub(crate) id: String,
    org: i64,
    tenant: String,
    env_id: i64,
    kind: String,
    input: String,
    state: String,
    direction: String,
    progress: i64,
    retries: i64,
    crashes: i64,
    cancel: i64,
    failure: Option<String>,
    result: Option<String>,
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
            input: at.json("input", &self.input)?,
            state: at.word("state", &self.state, OperationState::parse)?,
            direction: at.word("direction", &self.direction, Direction::parse)?,
            progress: at.narrow("progress", self.progress)?,
            retries: at.narrow("retries", self.retries)?,
            crashes: at.narrow("crashes", self.crashes)?,
            cancel: self.cancel != 0,
            failure: self.failure.map(|failure| at.json("failure", &failure)).transpose()?,
            result: self.result.map(|result| at.json("result", &result)).transpose()?,
            created_at: at.time("created_at", self.created_at)?,
            updated_at: at.time("updated_at", self.updated_at)?,
        })
    }
}

/// Which operations to list, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationQuery {
    /// Only those of this tenant.
    pub env_id: Option<EnvId>,
    /// Only those in this state.
    pub state: Option<OperationState>,
    /// Only those older than this one: where the page before ended.
    pub before: Option<OperationId>,
    /// At most so many.
    pub limit: u32,
}

/// How much there is to do, over all organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Accepted, and nobody works on it.
    pub queued: u64,
    /// Somebody works on it.
    pub running: u64,
    /// An operator has to look.
    pub stuck: u64,
    /// When the oldest of the queued ones was accepted.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// An operation within reach, also when its tenant is gone.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn operation(&self, scope: &Scope, operation: OperationId) -> Result<Option<Operation>> {
        let sql = concat!("SELECT ", columns!(), " FROM operations WHERE id = $1 AND ($2 IS NULL OR org = $2)");
        let row: Option<OperationRow> = self.database.first(sql, values![operation, scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// Operations within reach, newest first, also of tenants that are gone.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn operations(&self, scope: &Scope, query: OperationQuery) -> Result<Vec<Operation>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE ($1 IS NULL OR org = $1) AND ($2 IS NULL OR env_id = $2) AND ($3 IS NULL OR state = $3) \
             AND ($4 IS NULL OR (created_at, id) < (SELECT o.created_at, o.id FROM operations o WHERE o.id = $4)) \
             ORDER BY created_at DESC, id DESC LIMIT $5"
        );
        let OperationQuery { env_id, state, before, limit } = query;
        let (env_id, before) = (env_id.map(|env_id| env_id.0), before.map(|before| before.to_string()));
        let state = state.map(|state| state.as_str().to_owned());
        let rows: Vec<OperationRow> = self.database.all(sql, values![scope, env_id, state, before, limit]).await?;
        rows.into_iter().map(OperationRow::read).collect()
    }

    /// The operation on a tenant that is not finished, if there is one. There is never more than one.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn active_operation(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Operation>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE env_id = $1 AND ($2 IS NULL OR org = $2) AND state IN ('queued', 'running')"
        );
        let row: Option<OperationRow> = self.database.first(sql, values![env_id, scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// The operation on a tenant that was accepted last, finished or not.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn latest_operation(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Operation>> {
        let query = OperationQuery { env_id: Some(env_id), state: None, before: None, limit: 1 };
        Ok(self.operations(scope, query).await?.pop())
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

    /// How much there is to do. Takes as long as what is unfinished or stuck, however much was ever done.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backlog(&self) -> Result<Backlog> {
        let sql = "SELECT COUNT(CASE WHEN state = 'queued' THEN 1 END), COUNT(CASE WHEN state = 'running' THEN 1 END), \
             MIN(CASE WHEN state = 'queued' THEN created_at END) FROM operations WHERE state IN ('queued', 'running')";
        let (queued, running, oldest): (i64, i64, Option<i64>) =
            self.database.first(sql, Vec::new()).await?.unwrap_or_default();
        let sql = "SELECT COUNT(*) FROM operations WHERE state = 'stuck'";
        let (stuck,): (i64,) = self.database.first(sql, Vec::new()).await?.unwrap_or_default();
        let at = At { table: "operations", id: &"(all)" };
        Ok(Backlog {
            queued: at.narrow("COUNT", queued)?,
            running: at.narrow("COUNT", running)?,
            stuck: at.narrow("COUNT", stuck)?,
            oldest: oldest.map(|micros| at.time("created_at", micros)).transpose()?,
        })
    }
}

/// Whose tenant an operation is about. Its tenant need not be in the store any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) tenant: TenantId,
    pub(crate) env_id: EnvId,
    pub(crate) org: OrgId,
}

/// An operation to be: what the one who asks decides about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// What is to be done.
    pub kind: OperationKind,
    /// Beyond the kind.
    pub input: Input,
    /// Who asks, for the audit.
    pub actor: String,
    /// How long it may be tried.
    pub patience: Duration,
    /// The key that a client may send it again under, with what the client asked.
    pub idempotency: Option<Idempotency>,
    /// When.
    pub now: Timestamp,
}

/// What tells one request from another one with the same idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// As the client chose it; one of its organization.
    pub key: String,
    /// A hash of everything the client asked.
    pub request: Vec<u8>,
}

/// Adds a queued operation.
pub(crate) async fn insert(tx: &mut Tx, subject: Subject, new: &NewOperation) -> Result<Operation> {
    let sql = concat!(
        "INSERT INTO operations (id, org, tenant, env_id, kind, input, state, actor, idempotency_key, request_hash, \
         deadline, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, $8, $9, $10, $11, $11) RETURNING ",
        columns!()
    );
    let Subject { tenant, env_id, org } = subject;
    let deadline = tx.clock().await?.saturating_add(micros(new.patience));
    let (key, request) = match &new.idempotency {
        Some(Idempotency { key, request }) => (Some(key.clone()), Some(request.clone())),
        None => (None, None),
    };
    let input = to_json(&new.input)?;
    let (kind, actor) = (new.kind.as_str(), new.actor.as_str());
    let values = values![new.id, org, tenant, env_id, kind, input, actor, key, request, deadline, new.now];
    tx.one::<OperationRow>(sql, values).await?.read()
}
