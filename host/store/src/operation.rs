//! Operations: durable pieces of work, and how they are read. They outlive what they are about.

use std::collections::BTreeMap;
use std::time::Duration;

use convergence_model::operation::{Checkpoint, Direction, Lane, Operation, OperationState, Subject};
use convergence_model::{EnvId, OperationId, OrgId, Scope};
use jiff::Timestamp;
use serde_json::Value;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::lease::micros;
use crate::{Result, Store, audit};

/// The columns of an [`OperationRow`].
macro_rules! columns {
    () => {
        "id, org, kind, subject, input, checkpoint, state, direction, progress, retries, crashes, cancel, failure, result, \
         created_at, updated_at"
    };
}
pub(crate) use columns;

#[derive(sqlx::FromRow)]
pub(crate) struct OperationRow {
    pub(crate) id: String,
    org: i64,
    kind: String,
    pub(crate) subject: String,
    input: String,
    checkpoint: Option<String>,
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
            kind: self.kind,
            subject: Subject::stored(self.subject),
            input: at.json("input", &self.input)?,
            checkpoint: self.checkpoint.map(|text| at.json::<Checkpoint>("checkpoint", &text)).transpose()?,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationQuery {
    /// Only those about this.
    pub subject: Option<Subject>,
    /// Only those in this state.
    pub state: Option<OperationState>,
    /// Only those older than this one: where the page before ended.
    pub before: Option<OperationId>,
    /// At most so many.
    pub limit: u32,
}

/// Unfinished operations that a version of this program cannot work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimable {
    /// Their kind.
    pub kind: String,
    /// The version of their checkpoint; 0 where they have none.
    pub checkpoint_version: u32,
    /// How many there are.
    pub count: u64,
}

/// How much there is to do, over all organizations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Accepted, and nobody works on it.
    pub queued: u64,
    /// Somebody works on it.
    pub running: u64,
    /// Nobody needs to work on it until a time or a signal.
    pub waiting: u64,
    /// An operator has to look.
    pub stuck: u64,
    /// When the oldest of the queued ones was accepted.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// An operation within reach, also when what it was about is gone.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn operation(&self, scope: &Scope, operation: OperationId) -> Result<Option<Operation>> {
        let sql = concat!("SELECT ", columns!(), " FROM operations WHERE id = $1 AND ($2 IS NULL OR org = $2)");
        let row: Option<OperationRow> = self.database.first(sql, values![operation, scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// Operations within reach, newest first, also about what is gone.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn operations(&self, scope: &Scope, query: OperationQuery) -> Result<Vec<Operation>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE ($1 IS NULL OR org = $1) AND ($2 IS NULL OR subject = $2) AND ($3 IS NULL OR state = $3) \
             AND ($4 IS NULL OR (created_at, id) < (SELECT o.created_at, o.id FROM operations o WHERE o.id = $4)) \
             ORDER BY created_at DESC, id DESC LIMIT $5"
        );
        let OperationQuery { subject, state, before, limit } = query;
        let subject = subject.map(|subject| subject.as_str().to_owned());
        let before = before.map(|before| before.to_string());
        let state = state.map(|state| state.as_str().to_owned());
        let rows: Vec<OperationRow> = self.database.all(sql, values![scope, subject, state, before, limit]).await?;
        rows.into_iter().map(OperationRow::read).collect()
    }

    /// The exclusive operation on a tenant that is not finished, if there is one. There is never more than one.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn active_operation(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Operation>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM operations WHERE subject = $1 AND ($2 IS NULL OR org = $2) \
             AND exclusive = 1 AND state IN ('queued', 'running', 'waiting')"
        );
        let subject = Subject::tenant(env_id);
        let row: Option<OperationRow> = self.database.first(sql, values![subject.as_str(), scope]).await?;
        row.map(OperationRow::read).transpose()
    }

    /// The operation on a tenant that was accepted last, finished or not.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn latest_operation(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Operation>> {
        let subject = Some(Subject::tenant(env_id));
        Ok(self.operations(scope, OperationQuery { subject, state: None, before: None, limit: 1 }).await?.pop())
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
        let sql = "SELECT COUNT(*) FROM operations WHERE state = 'waiting'";
        let (waiting,): (i64,) = self.database.first(sql, Vec::new()).await?.unwrap_or_default();
        let at = At { table: "operations", id: &"(all)" };
        Ok(Backlog {
            queued: at.narrow("COUNT", queued)?,
            running: at.narrow("COUNT", running)?,
            waiting: at.narrow("COUNT", waiting)?,
            stuck: at.narrow("COUNT", stuck)?,
            oldest: oldest.map(|micros| at.time("created_at", micros)).transpose()?,
        })
    }

    /// Unfinished operations that no worker with these kinds would take: another version of this program left them, or wrote
    /// their checkpoint.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unclaimable(&self, kinds: &BTreeMap<&'static str, u32>) -> Result<Vec<Unclaimable>> {
        let sql = self.database.unclaimable_statement();
        let rows: Vec<(String, i64, i64)> = self.database.all(sql, values![to_json(kinds)?]).await?;
        let at = At { table: "operations", id: &"(all)" };
        rows.into_iter()
            .map(|(kind, version, count)| {
                let checkpoint_version = at.narrow("checkpoint_version", version)?;
                Ok(Unclaimable { kind, checkpoint_version, count: at.narrow("COUNT", count)? })
            })
            .collect()
    }

    /// Accepts an operation that changes no row but its own: operation and audit row, or none of them.
    ///
    /// # Errors
    /// [`Conflict::NoOrganization`](crate::Conflict::NoOrganization); [`Conflict::SubjectBusy`](crate::Conflict::SubjectBusy) where it is
    /// exclusive and another one on its subject is not finished;
    /// [`Conflict::AlreadyBegun`](crate::Conflict::AlreadyBegun) and [`Conflict::KeyReused`](crate::Conflict::KeyReused) of
    /// its idempotency key; when the database does not answer.
    pub async fn begin_on(
        &self,
        org: OrgId,
        subject: &Subject,
        new: &NewOperation,
        action: &'static str,
    ) -> Result<Operation> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let turn = audit::turn(&mut tx, org).await?.ok_or(crate::Conflict::NoOrganization(org))?;
                crate::idempotency::refuse_begun(&mut tx, org, new.idempotency.as_ref()).await?;
                if new.exclusive {
                    crate::request::refuse_busy(&mut tx, subject).await?;
                }
                let operation = insert(&mut tx, org, subject, new).await?;
                let detail = serde_json::json!({ "operation": operation.id, "subject": subject });
                let (at, actor, env_id) = (new.now, new.actor.as_str(), subject.env_id());
                turn.record(&mut tx, audit::Entry { at, actor, action, env_id, detail }).await?;
                tx.commit().await?;
                Ok(operation)
            })
            .await
    }
}

/// An operation to be: what the one who asks decides about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperation {
    /// Its id.
    pub id: OperationId,
    /// What is to be done.
    pub kind: &'static str,
    /// Where it waits for its turn.
    pub lane: Lane,
    /// Whether no other exclusive one on its subject may be unfinished.
    pub exclusive: bool,
    /// Whether an exclusive one may cancel it instead of waiting for it.
    pub yields: bool,
    /// Beyond the kind, in the kind's own form.
    pub input: Value,
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

/// Lets a new operation wait until the one before it on its subject ends.
pub(crate) async fn wait_for_turn(tx: &mut Tx, id: OperationId) -> Result<Operation> {
    let sql = concat!(
        "UPDATE operations SET state = 'waiting', awaits = $2, exclusive = 0 WHERE id = $1 RETURNING ",
        columns!()
    );
    tx.one::<OperationRow>(sql, values![id, crate::deployment::TURN]).await?.read()
}

/// Adds a queued operation.
pub(crate) async fn insert(tx: &mut Tx, org: OrgId, subject: &Subject, new: &NewOperation) -> Result<Operation> {
    let sql = concat!(
        "INSERT INTO operations (id, org, kind, subject, exclusive, yields, lane, input, state, actor, idempotency_key, \
         request_hash, deadline, patience, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, $11, $12, $13, $14, $14) RETURNING ",
        columns!()
    );
    let patience = micros(new.patience);
    let deadline = tx.clock().await?.saturating_add(patience);
    let (key, request) = match &new.idempotency {
        Some(Idempotency { key, request }) => (Some(key.clone()), Some(request.clone())),
        None => (None, None),
    };
    let (exclusive, yields) = (i64::from(new.exclusive), i64::from(new.yields));
    let values = values![
        new.id,
        org,
        new.kind,
        subject.as_str(),
        exclusive,
        yields,
        new.lane.as_str(),
        to_json(&new.input)?,
        new.actor.as_str(),
        key,
        request,
        deadline,
        patience,
        new.now,
    ];
    tx.one::<OperationRow>(sql, values).await?.read()
}
