//! What operations are told while they run or wait. A signal is a row, so none is lost between servers, and the same key is
//! told once.

use std::time::Duration;

use convergence_model::{OperationId, Scope};
use jiff::Timestamp;
use serde_json::Value;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::{Conflict, Result, Store};

/// Which signal it is, of those of one operation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignalKey {
    /// What an operation may wait for.
    pub name: String,
    /// Chosen by the sender; the same one is told once.
    pub key: String,
}

/// Something an operation was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Which one it is.
    pub key: SignalKey,
    /// What it says.
    pub payload: Value,
}

/// What a look at those who wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Woken {
    /// Operations whose time has come: they are queued now.
    pub woken: u64,
    /// When the next one's time comes, from now on; `None` where none waits for a time.
    pub next: Option<Duration>,
}

impl Store {
    /// Tells an operation something; one that waits for it goes back into the queue. False where it was told before, with
    /// the same key.
    ///
    /// # Errors
    /// [`Conflict::Over`]; [`Conflict::NoOperation`] where there is none within reach; when the database does not answer.
    pub async fn signal(&self, scope: &Scope, operation: OperationId, signal: &Signal, now: Timestamp) -> Result<bool> {
        let payload = to_json(&signal.payload)?;
        let (name, key, payload) = (signal.key.name.as_str(), signal.key.key.as_str(), payload.as_str());
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                // Locked, so that it neither ends nor goes to sleep meanwhile.
                let sql = "UPDATE operations SET lease_epoch = lease_epoch WHERE id = $1 AND ($2 IS NULL OR org = $2) \
                     RETURNING state";
                let row: Option<(String,)> = tx.first(sql, values![operation, scope]).await?;
                let (state,) = row.ok_or(Conflict::NoOperation { operation })?;
                let at = At { table: "operations", id: &operation };
                let state = at.word("state", &state, convergence_model::operation::OperationState::parse)?;
                if state.is_final() {
                    return Err(Conflict::Over { operation, state: state.as_str() }.into());
                }
                let sql = "INSERT INTO signals (operation, name, key, payload, at) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (operation, name, key) DO NOTHING";
                let told = tx.execute(sql, values![operation, name, key, payload, now]).await? > 0;
                if told {
                    let clock = tx.clock().await?;
                    let sql = "UPDATE operations SET state = 'queued', wake_at = NULL, awaits = NULL, \
                         deadline = $3 + patience, updated_at = $4 WHERE id = $1 AND state = 'waiting' AND awaits = $2";
                    tx.execute(sql, values![operation, name, clock, now]).await?;
                }
                tx.commit().await?;
                Ok(told)
            })
            .await
    }

    /// What an operation was told and has not taken note of, in the order in which it was told.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn signals(&self, operation: OperationId) -> Result<Vec<Signal>> {
        let sql = "SELECT name, key, payload FROM signals WHERE operation = $1 AND seen = 0 ORDER BY at, name, key";
        let rows: Vec<(String, String, String)> = self.database.all(sql, values![operation]).await?;
        rows.into_iter()
            .map(|(name, key, payload)| {
                let payload = At { table: "signals", id: &operation }.json("payload", &payload)?;
                Ok(Signal { key: SignalKey { name, key }, payload })
            })
            .collect()
    }

    /// Puts those whose time has come back into the queue.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn wake(&self) -> Result<Woken> {
        // Read first: nothing is written while nobody's time has come.
        let sql = "SELECT MIN(wake_at) FROM operations WHERE state = 'waiting' AND wake_at IS NOT NULL";
        let (next,): (Option<i64>,) = self.database.first(sql, Vec::new()).await?.unwrap_or_default();
        let Some(next) = next else { return Ok(Woken { woken: 0, next: None }) };
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let clock = tx.clock().await?;
                if next > clock {
                    let next = Duration::from_micros(u64::try_from(next.saturating_sub(clock)).unwrap_or(0));
                    return Ok(Woken { woken: 0, next: Some(next) });
                }
                let sql = "UPDATE operations SET state = 'queued', wake_at = NULL, awaits = NULL, deadline = $1 + patience \
                     WHERE state = 'waiting' AND wake_at IS NOT NULL AND wake_at <= $1";
                let woken = tx.execute(sql, values![clock]).await?;
                tx.commit().await?;
                Ok(Woken { woken, next: Some(Duration::ZERO) })
            })
            .await
    }
}

/// Notes that a step has seen these.
pub(crate) async fn see(tx: &mut Tx, operation: OperationId, seen: &[SignalKey]) -> Result<()> {
    for SignalKey { name, key } in seen {
        let sql = "UPDATE signals SET seen = 1 WHERE operation = $1 AND name = $2 AND key = $3";
        tx.execute(sql, values![operation, name.as_str(), key.as_str()]).await?;
    }
    Ok(())
}
