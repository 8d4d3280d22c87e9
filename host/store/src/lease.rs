//! Who works on an operation. A lease is held for a bounded time on the database's own clock; its epoch goes up
//! with every claim, and every write of a worker carries it, so that a worker that was taken for dead and comes
//! back changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use convergence_model::operation::{Lane, Operation, Subject};
use convergence_model::{EnvId, OperationId, OrgId, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::operation::OperationRow;
use crate::{Result, Store, StoreError, audit};

/// A worker's right to write about one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The operation.
    pub operation: OperationId,
    /// Goes up with every claim.
    pub epoch: i64,
}

impl Lease {
    pub(crate) fn lost(&self) -> StoreError {
        StoreError::LeaseLost { operation: self.operation, epoch: self.epoch }
    }
}

/// What a worker is looking for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Names the worker.
    pub worker: &'a str,
    /// For how long it takes what it finds, on the database's clock.
    pub lease: Duration,
    /// Only operations of this lane.
    pub lane: Lane,
    /// Only these kinds, each with the newest version of its checkpoint that the worker can read. Others are left alone.
    pub kinds: &'a BTreeMap<&'static str, u32>,
    /// The organization that was served last: the next one has its turn.
    pub after: OrgId,
    /// Only this operation.
    pub only: Option<OperationId>,
}

/// An operation a worker now holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The operation, running.
    pub operation: Operation,
    /// The right to write about it.
    pub lease: Lease,
    /// How long it may still be tried; on the way back this no longer counts.
    pub time_left: Duration,
}

/// A lease that is held for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// The lease.
    pub lease: Lease,
    /// Somebody asked to cancel the operation.
    pub cancel: bool,
}

#[derive(sqlx::FromRow)]
struct ClaimedRow {
    #[sqlx(flatten)]
    operation: OperationRow,
    lease_epoch: i64,
    deadline: i64,
}

/// What a look at the queue brought.
enum Taken {
    Nothing,
    One(Box<Claimed>),
    /// A row this version cannot read, put aside so that it does not stand in everybody's way.
    Unreadable(StoreError),
}

impl Store {
    /// Takes an operation whose time has come, or whose worker let its lease run out: of the organization after the one
    /// that was served last, the oldest. `now` is what the row's change is dated.
    ///
    /// A row that cannot be read is marked stuck on the way and passed over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(&self, wanted: Wanted<'_>, now: Timestamp) -> Result<Option<Claimed>> {
        let kinds = to_json(wanted.kinds)?;
        let kinds = kinds.as_str();
        loop {
            let taken = self
                .database
                .retry(|| async move {
                    let mut tx = self.database.begin().await?;
                    let taken = take(&mut tx, wanted, kinds, now).await?;
                    tx.commit().await?;
                    Ok(taken)
                })
                .await?;
            match taken {
                Taken::Nothing => return Ok(None),
                Taken::One(claimed) => return Ok(Some(*claimed)),
                Taken::Unreadable(error) => tracing::error!(%error, "an operation cannot be read; it is stuck"),
            }
        }
    }

    /// Ends every lease of a worker, so that what a dead server was doing can be claimed at once instead of when its
    /// leases run out. Only for the start of a server whose name no other one has. Answers how many operations were
    /// cut off.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_leases(&self, worker: &str) -> Result<u64> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "UPDATE operations SET lease_until = 0 WHERE state = 'running' AND lease_owner = $1";
                let ended = tx.execute(sql, values![worker]).await?;
                tx.commit().await?;
                Ok(ended)
            })
            .await
    }

    /// Holds all these leases of a worker for `duration` from now on, in one statement however many they are. Those that
    /// are not in the answer are lost.
    ///
    /// # Errors
    /// When the database does not answer; the leases then run on as they were.
    pub async fn renew(&self, worker: &str, leases: &[Lease], duration: Duration) -> Result<Vec<Renewed>> {
        let held: Vec<String> = leases.iter().map(|lease| format!("{}:{}", lease.operation, lease.epoch)).collect();
        let held = to_json(&held)?;
        let held = held.as_str();
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let until = tx.clock().await?.saturating_add(micros(duration));
                let rows: Vec<(String, i64, i64)> = tx.all(tx.renew_statement(), values![worker, until, held]).await?;
                tx.commit().await?;
                rows.into_iter()
                    .map(|(id, epoch, cancel)| {
                        let operation = OperationId(At { table: "operations", id: &id }.parse("id", &id)?);
                        Ok(Renewed { lease: Lease { operation, epoch }, cancel: cancel != 0 })
                    })
                    .collect()
            })
            .await
    }
}

async fn take(tx: &mut Tx, wanted: Wanted<'_>, kinds: &str, now: Timestamp) -> Result<Taken> {
    let clock = tx.clock().await?;
    let until = clock.saturating_add(micros(wanted.lease));
    let only = wanted.only.map(|id| id.to_string());
    // The organizations after the one that was served last, then from the first one on.
    for (from, to) in [(wanted.after.0, i64::MAX), (i64::MIN, wanted.after.0)] {
        let values = values![wanted.worker, until, now, wanted.lane.as_str(), clock, kinds, only.clone(), from, to];
        if let Some(row) = tx.first::<ClaimedRow>(tx.claim_statement(), values).await? {
            return taken(tx, row, clock, now).await;
        }
    }
    Ok(Taken::Nothing)
}

async fn taken(tx: &mut Tx, row: ClaimedRow, clock: i64, now: Timestamp) -> Result<Taken> {
    let (id, subject) = (row.operation.id.clone(), Subject::stored(row.operation.subject.clone()));
    match row.operation.read() {
        Ok(operation) => {
            let lease = Lease { operation: operation.id, epoch: row.lease_epoch };
            let left = u64::try_from(row.deadline.saturating_sub(clock)).unwrap_or(0);
            Ok(Taken::One(Box::new(Claimed { operation, lease, time_left: Duration::from_micros(left) })))
        }
        Err(error) => {
            let sql = "UPDATE operations SET state = 'stuck', lease_owner = NULL, lease_until = NULL WHERE id = $1";
            tx.execute(sql, values![id.as_str()]).await?;
            if let Some(env_id) = subject.env_id() {
                let sql = "UPDATE tenants SET status = 'failed', updated_at = $2 WHERE env_id = $1";
                tx.execute(sql, values![env_id, now]).await?;
            }
            Ok(Taken::Unreadable(error))
        }
    }
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// An operation whose lease is proven for the rest of a transaction.
pub(crate) struct Held {
    pub(crate) org: OrgId,
    pub(crate) subject: Subject,
    actor: String,
}

impl Held {
    /// An audit row about the operation's subject, in the name of the caller that asked for the operation.
    pub(crate) fn entry(&self, action: &'static str, detail: serde_json::Value, at: Timestamp) -> audit::Entry<'_> {
        audit::Entry { at, actor: &self.actor, action, env_id: self.subject.env_id(), detail }
    }

    /// The row of the tenant that the operation is about.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is about none, or the tenant is gone.
    pub(crate) async fn tenant(&self, tx: &mut Tx) -> Result<TenantId> {
        let sql = "SELECT id FROM tenants WHERE env_id = $1";
        let env_id = self.subject.env_id().unwrap_or(EnvId(0));
        let row: Option<(String,)> = tx.first(sql, values![env_id]).await?;
        let (id,) = row.ok_or_else(|| StoreError::corrupt("tenants", &self.subject, "the row is gone"))?;
        Ok(TenantId(At { table: "tenants", id: &env_id }.parse("id", &id)?))
    }
}

/// Proves a lease and keeps the operation's row locked, so that nobody can claim it before the transaction ends.
pub(crate) async fn hold(tx: &mut Tx, lease: &Lease) -> Result<Held> {
    let sql = "UPDATE operations SET lease_epoch = lease_epoch \
         WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING org, subject, actor";
    let row: Option<(i64, String, String)> = tx.first(sql, values![lease.operation, lease.epoch]).await?;
    let (org, subject, actor) = row.ok_or_else(|| lease.lost())?;
    Ok(Held { org: OrgId(org), subject: Subject::stored(subject), actor })
}
