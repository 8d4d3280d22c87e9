//! Histories end: operations that were over long ago, with their events and idempotency keys, and the names of images that
//! were let go long ago.

use jiff::Timestamp;

use crate::database::values;
use crate::{Result, Store, let_go};

/// Operations removed in one transaction, so that nobody waits long for it.
const AT_ONCE: i64 = 500;

impl Store {
    /// Removes operations that ended before a moment, with everything that was told of them. One that is stuck stays.
    /// Answers how many it removed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune(&self, before: Timestamp) -> Result<u64> {
        let mut removed = 0;
        loop {
            let some = self
                .database
                .retry(|| async move {
                    let mut tx = self.database.begin().await?;
                    let sql = "DELETE FROM operation_events WHERE operation IN (SELECT id FROM operations \
                         WHERE state NOT IN ('queued', 'running', 'waiting') AND state <> 'stuck' AND updated_at < $1 \
                         ORDER BY updated_at, id LIMIT $2)";
                    tx.execute(sql, values![before, AT_ONCE]).await?;
                    let sql = "DELETE FROM operations WHERE id IN (SELECT id FROM operations \
                         WHERE state NOT IN ('queued', 'running', 'waiting') AND state <> 'stuck' AND updated_at < $1 \
                         ORDER BY updated_at, id LIMIT $2)";
                    let some = tx.execute(sql, values![before, AT_ONCE]).await?;
                    let_go::forget_images(&mut tx, before).await?;
                    tx.commit().await?;
                    Ok(some)
                })
                .await?;
            if some == 0 {
                return Ok(removed);
            }
            removed += some;
        }
    }
}
