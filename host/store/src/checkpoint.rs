//! How far a loop is: its checkpoint changes together with what is told of the step that changed it, and an operation that
//! has nothing to do until a time or a signal leaves its worker's hands.

use std::time::Duration;

use convergence_model::operation::{Checkpoint, EventKind};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::to_json;
use crate::event::{NewEvent, append};
use crate::lease::{Lease, micros};
use crate::signal::{SignalKey, see};
use crate::{Result, Store};

/// What a step of a loop came to, written in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct StepDone<'a> {
    /// How far the loop is now.
    pub checkpoint: &'a Checkpoint,
    /// The step that is done; none before the first one.
    pub done: Option<&'a str>,
    /// The signals it took note of.
    pub seen: &'a [SignalKey],
}

/// Until when an operation has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until<'a> {
    /// So long from now, on the database's clock; for ever where absent.
    pub after: Option<Duration>,
    /// Until a signal of this name.
    pub signal: Option<&'a str>,
}

impl Store {
    /// Records that a loop got further, and that `next` begins now.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn step_done(&self, lease: &Lease, step: StepDone<'_>, next: Option<&str>, now: Timestamp) -> Result<()> {
        let text = to_json(step.checkpoint)?;
        let text = text.as_str();
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let done = step.done.map(|step| NewEvent { step, event: EventKind::Done, detail: "" });
                let next = next.map(|step| NewEvent { step, event: EventKind::Started, detail: "" });
                let events: Vec<_> = done.into_iter().chain(next).collect();
                append(&mut tx, lease, &events, now).await?;
                let begun = step.checkpoint.steps + usize::from(next.is_some());
                keep(&mut tx, lease, step, text, begun).await?;
                tx.commit().await
            })
            .await
    }

    /// Records that a loop got further and has nothing to do until then: nobody holds it from here on. One that was told
    /// what it waits for, or that somebody wants cancelled, goes back into the queue instead.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn suspend(&self, lease: &Lease, step: StepDone<'_>, until: Until<'_>, now: Timestamp) -> Result<()> {
        let text = to_json(step.checkpoint)?;
        let text = text.as_str();
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let detail = until.signal.map(|signal| format!("until it is told {signal}")).unwrap_or_default();
                let done = step.done.map(|step| NewEvent { step, event: EventKind::Done, detail: "" });
                let waits =
                    NewEvent { step: step.done.unwrap_or("start"), event: EventKind::Suspended, detail: &detail };
                let events: Vec<_> = done.into_iter().chain([waits]).collect();
                append(&mut tx, lease, &events, now).await?;
                keep(&mut tx, lease, step, text, step.checkpoint.steps).await?;
                let clock = tx.clock().await?;
                // With neither a time nor a signal there is nothing to wait for.
                let after = match (until.after, until.signal) {
                    (None, None) => Some(Duration::ZERO),
                    (after, _) => after,
                };
                let wake_at = after.map(|after| clock.saturating_add(micros(after)));
                let sql = "UPDATE operations SET lease_owner = NULL, lease_until = NULL, not_before = 0, \
                     wake_at = $2, awaits = $3, state = CASE WHEN cancel = 1 OR EXISTS (SELECT 1 FROM signals s \
                     WHERE s.operation = operations.id AND s.name = $3 AND s.seen = 0) THEN 'queued' ELSE 'waiting' END \
                     WHERE id = $1";
                tx.execute(sql, values![lease.operation, wake_at, until.signal.map(str::to_owned)]).await?;
                tx.commit().await
            })
            .await
    }
}

async fn keep(tx: &mut Tx, lease: &Lease, step: StepDone<'_>, text: &str, begun: usize) -> Result<()> {
    see(tx, lease.operation, step.seen).await?;
    // Getting further forgives what was tried in vain on the way, and gives the next step its own time.
    let clock = tx.clock().await?;
    let sql = "UPDATE operations SET checkpoint = $2, checkpoint_version = $3, progress = $4, retries = 0, crashes = 0, \
         deadline = $5 + patience WHERE id = $1";
    let values = values![lease.operation, text, step.checkpoint.version, begun, clock];
    tx.execute(sql, values).await.map(drop)
}
