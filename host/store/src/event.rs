//! The append-only history of an operation: where progress streams come from.

use std::time::Duration;

use convergence_model::operation::{EventKind, Failure, OperationEvent};
use convergence_model::{OperationId, Scope};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::lease::{Lease, micros};
use crate::{Result, Store};

#[derive(sqlx::FromRow)]
struct EventRow {
    seq: i64,
    step: String,
    event: String,
    detail: String,
    at: i64,
}

impl EventRow {
    fn read(self, operation: OperationId) -> Result<OperationEvent> {
        let at = At { table: "operation_events", id: &format_args!("{operation}/{}", self.seq) };
        Ok(OperationEvent {
            seq: self.seq,
            event: at.word("event", &self.event, EventKind::parse)?,
            at: at.time("at", self.at)?,
            step: self.step,
            detail: self.detail,
        })
    }
}

impl Store {
    /// At most `limit` events of an operation with a number above `after_seq`, oldest first; 0 for all.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn events(
        &self,
        scope: &Scope,
        operation: OperationId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<OperationEvent>> {
        let sql = "SELECT e.seq, e.step, e.event, e.detail, e.at \
             FROM operation_events e JOIN operations o ON o.id = e.operation \
             WHERE e.operation = $1 AND e.seq > $2 AND ($3 IS NULL OR o.org = $3) ORDER BY e.seq LIMIT $4";
        let rows: Vec<EventRow> = self.database.all(sql, values![operation, after_seq, scope, limit]).await?;
        rows.into_iter().map(|row| row.read(operation)).collect()
    }

    /// The number of an operation's last event; 0 where it has none, or is not within reach.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_event(&self, scope: &Scope, operation: OperationId) -> Result<i64> {
        let sql = "SELECT last_event FROM operations WHERE id = $1 AND ($2 IS NULL OR org = $2)";
        let row: Option<(i64,)> = self.database.first(sql, values![operation, scope]).await?;
        Ok(row.map_or(0, |(last,)| last))
    }

    /// Appends to the history of the operation a worker holds, in one transaction: a commit waits for the disk, and
    /// a build prints many lines at once.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn record_events(&self, lease: &Lease, events: &[NewEvent<'_>], now: Timestamp) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                append(&mut tx, lease, events, now).await?;
                tx.commit().await
            })
            .await
    }

    /// Records that an operation got as far as `progress` steps, with what there is to tell of it. Getting further than
    /// ever before forgives what was tried in vain on the way.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn advance(&self, lease: &Lease, progress: usize, events: &[NewEvent<'_>], now: Timestamp) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                append(&mut tx, lease, events, now).await?;
                let sql =
                    "UPDATE operations SET progress = $2, retries = 0, crashes = 0 WHERE id = $1 AND progress < $2";
                tx.execute(sql, values![lease.operation, progress]).await?;
                tx.commit().await
            })
            .await
    }

    /// Records that the last of `progress` steps is undone.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn step_back(&self, lease: &Lease, progress: usize, step: &str, now: Timestamp) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                append(&mut tx, lease, &[NewEvent { step, event: EventKind::Undone, detail: "" }], now).await?;
                let sql = "UPDATE operations SET progress = $2, retries = 0, crashes = 0 WHERE id = $1";
                tx.execute(sql, values![lease.operation, progress.saturating_sub(1)]).await?;
                tx.commit().await
            })
            .await
    }

    /// Turns an operation back: from here on its steps are undone, whichever server works on it.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn turn_back(&self, lease: &Lease, failure: &Failure, now: Timestamp) -> Result<()> {
        let text = to_json(failure)?;
        let text = text.as_str();
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let failed = NewEvent { step: &failure.step, event: EventKind::Failed, detail: &failure.message };
                append(&mut tx, lease, &[failed], now).await?;
                let sql =
                    "UPDATE operations SET direction = 'back', failure = $2, retries = 0, crashes = 0 WHERE id = $1";
                tx.execute(sql, values![lease.operation, text]).await?;
                tx.commit().await
            })
            .await
    }

    /// Puts an operation back into the queue, to be taken again after `pause` on the database's clock. `progress` is how
    /// many steps were begun, where that is known to be fewer than it was.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn put_back(
        &self,
        lease: &Lease,
        pause: Duration,
        progress: Option<usize>,
        why: NewEvent<'_>,
        now: Timestamp,
    ) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                append(&mut tx, lease, &[why], now).await?;
                let not_before = tx.clock().await?.saturating_add(micros(pause));
                let counted = i64::from(why.event != EventKind::HandedOver);
                let sql = "UPDATE operations SET state = 'queued', lease_owner = NULL, lease_until = NULL, \
                     not_before = $2, retries = retries + $3, progress = COALESCE($4, progress) WHERE id = $1";
                let progress = progress.and_then(|progress| i64::try_from(progress).ok());
                tx.execute(sql, values![lease.operation, not_before, counted, progress]).await?;
                tx.commit().await
            })
            .await
    }
}

/// An event to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEvent<'a> {
    /// Which step.
    pub step: &'a str,
    /// What happened.
    pub event: EventKind,
    /// Human-readable; empty where the kind says it all.
    pub detail: &'a str,
}

/// Appends events, if the lease is still held.
pub(crate) async fn append(tx: &mut Tx, lease: &Lease, events: &[NewEvent<'_>], now: Timestamp) -> Result<()> {
    let sql = "UPDATE operations SET last_event = last_event + $4, updated_at = $3 \
         WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING last_event";
    let row: Option<(i64,)> = tx.first(sql, values![lease.operation, lease.epoch, now, events.len()]).await?;
    let (last,) = row.ok_or_else(|| lease.lost())?;
    for (event, before) in events.iter().rev().zip(0..) {
        let sql =
            "INSERT INTO operation_events (operation, seq, step, event, detail, at) VALUES ($1, $2, $3, $4, $5, $6)";
        // What a build prints may hold anything; PostgreSQL's text holds no NUL.
        let detail = event.detail.replace('\0', "\u{fffd}");
        let seq: i64 = last - before;
        tx.execute(sql, values![lease.operation, seq, event.step, event.event.as_str(), detail, now]).await?;
    }
    Ok(())
}
