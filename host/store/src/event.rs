//! The append-only history of an operation: where progress streams come from.

use convergence_model::operation::{EventKind, OperationEvent};
use convergence_model::{OperationId, Scope};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::lease::Lease;
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

    /// Appends to the history of the operation a worker holds. Returns the event's number.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn record_event(
        &self,
        lease: &Lease,
        step: &str,
        event: EventKind,
        detail: &str,
        now: Timestamp,
    ) -> Result<i64> {
        // What a build prints may hold anything; PostgreSQL's text holds no NUL.
        let detail = &detail.replace('\0', "\u{fffd}");
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let seq = append(&mut tx, lease, (step, event, detail), now).await?;
                tx.commit().await?;
                Ok(seq)
            })
            .await
    }

    /// Records that one step is done and that the next one begins, in one transaction: a commit waits for the disk,
    /// and between the two nothing happens that anybody could be told of.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn record_next_step(&self, lease: &Lease, done: &str, next: &str, now: Timestamp) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                append(&mut tx, lease, (done, EventKind::Done, ""), now).await?;
                append(&mut tx, lease, (next, EventKind::Started, ""), now).await?;
                tx.commit().await
            })
            .await
    }
}

/// Appends step, event and detail, if the lease is still held.
async fn append(tx: &mut Tx, lease: &Lease, entry: (&str, EventKind, &str), now: Timestamp) -> Result<i64> {
    let (step, event, detail) = entry;
    let sql = "UPDATE operations SET last_event = last_event + 1, updated_at = $3 \
         WHERE id = $1 AND lease_epoch = $2 AND state = 'running' RETURNING last_event";
    let row: Option<(i64,)> = tx.first(sql, values![lease.operation, lease.epoch, now]).await?;
    let (seq,) = row.ok_or_else(|| lease.lost())?;
    let sql = "INSERT INTO operation_events (operation, seq, step, event, detail, at) VALUES ($1, $2, $3, $4, $5, $6)";
    tx.execute(sql, values![lease.operation, seq, step, event.as_str(), detail, now]).await?;
    Ok(seq)
}
