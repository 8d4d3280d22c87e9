//! What one server at a time does for all that share the database.

use std::time::Duration;

use crate::database::values;
use crate::lease::micros;
use crate::{Result, Store};

impl Store {
    /// Takes or keeps a duty for `duration` from now on the database's clock. False while another server has it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_duty(&self, name: &str, holder: &str, duration: Duration) -> Result<bool> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let clock = tx.clock().await?;
                let sql = "INSERT INTO duties (name, holder, until) VALUES ($1, $2, $3) \
                     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
                     WHERE duties.holder = excluded.holder OR duties.until <= $4";
                let until = clock.saturating_add(micros(duration));
                let taken = tx.execute(sql, values![name, holder, until, clock]).await? > 0;
                tx.commit().await?;
                Ok(taken)
            })
            .await
    }
}
