//! Who works on an operation. A lease is held for a bounded time on the database's own clock; its epoch goes up
//! with every claim, and every write of a worker carries it, so that a worker that was taken for dead and comes
//! back changes nothing.

use std::time::Duration;

use convergence_model::operation::Operation;
use convergence_model::{EnvId, OperationId, OrgId, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
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

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The lease is held for longer.
    Held {
        /// Somebody asked to take the operation back.
        cancel: bool,
    },
    /// It is no longer ours: stop working at once.
    Lost,
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
    /// Takes the oldest operation whose time has come, or whose worker let its lease run out, for `lease` from now
    /// on the database's clock. `worker` names the taker; `now` is what the row's change is dated.
    ///
    /// A row that cannot be read is marked stuck on the way and passed over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(&self, worker: &str, lease: Duration, now: Timestamp) -> Result<Option<Claimed>> {
        self.take(None, worker, lease, now).await
    }

    /// [`Store::claim`] of one operation; `None` when another worker holds it, it is finished or absent.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_one(
        &self,
        operation: OperationId,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Claimed>> {
        self.take(Some(operation), worker, lease, now).await
    }

    async fn take(
        &self,
        only: Option<OperationId>,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Claimed>> {
        loop {
            let taken = self
                .database
                .retry(|| async move {
                    let mut tx = self.database.begin().await?;
                    let taken = take(&mut tx, only, worker, lease, now).await?;
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
                let sql = "UPDATE operations SET lease_until = 0 \
                     WHERE state IN ('queued', 'running') AND state = 'running' AND lease_owner = $1";
                let ended = tx.execute(sql, values![worker]).await?;
                tx.commit().await?;
                Ok(ended)
            })
            .await
    }

    /// Holds a lease for `duration` from now on.
    ///
    /// # Errors
    /// When the database does not answer; the lease then runs on as it was.
    pub async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Renewed> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let until = tx.clock().await?.saturating_add(micros(duration));
                let sql = "UPDATE operations SET lease_until = $3 \
                     WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING cancel";
                let ours: Option<(i64,)> = tx.first(sql, values![lease.operation, lease.epoch, until]).await?;
                tx.commit().await?;
                Ok(ours.map_or(Renewed::Lost, |(cancel,)| Renewed::Held { cancel: cancel != 0 }))
            })
            .await
    }
}

async fn take(tx: &mut Tx, only: Option<OperationId>, worker: &str, lease: Duration, now: Timestamp) -> Result<Taken> {
    let clock = tx.clock().await?;
    let only = only.map(|id| id.to_string());
    let values = values![worker, clock.saturating_add(micros(lease)), now, clock, only];
    let Some(row) = tx.first::<ClaimedRow>(tx.claim_statement(), values).await? else { return Ok(Taken::Nothing) };
    let id = row.operation.id.clone();
    match row.operation.read() {
        Ok(operation) => {
            let lease = Lease { operation: operation.id, epoch: row.lease_epoch };
            let left = u64::try_from(row.deadline.saturating_sub(clock)).unwrap_or(0);
            Ok(Taken::One(Box::new(Claimed { operation, lease, time_left: Duration::from_micros(left) })))
        }
        Err(error) => {
            let sql = "UPDATE operations SET state = 'stuck', lease_owner = NULL, lease_until = NULL WHERE id = $1";
            tx.execute(sql, values![id.as_str()]).await?;
            let sql = "UPDATE tenants SET status = 'failed', updated_at = $2 \
                 WHERE id = (SELECT tenant FROM operations WHERE id = $1)";
            tx.execute(sql, values![id, now]).await?;
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
    pub(crate) tenant: TenantId,
    pub(crate) env_id: EnvId,
    actor: String,
}

impl Held {
    /// An audit row about the tenant, in the name of whoever asked for the operation.
    pub(crate) fn entry(&self, action: &'static str, detail: serde_json::Value, at: Timestamp) -> audit::Entry<'_> {
        audit::Entry { at, actor: &self.actor, action, env_id: self.env_id, detail }
    }
}

/// Proves a lease and keeps the operation's row locked, so that nobody can claim it before the transaction ends.
pub(crate) async fn hold(tx: &mut Tx, lease: &Lease) -> Result<Held> {
    let sql = "UPDATE operations SET lease_epoch = lease_epoch \
         WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING org, tenant, env_id, actor";
    let row: Option<(i64, String, i64, String)> = tx.first(sql, values![lease.operation, lease.epoch]).await?;
    let (org, tenant, env_id, actor) = row.ok_or_else(|| lease.lost())?;
    let tenant = TenantId(At { table: "operations", id: &lease.operation }.parse("tenant", &tenant)?);
    Ok(Held { org: OrgId(org), tenant, env_id: EnvId(env_id), actor })
}
