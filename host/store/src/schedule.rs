//! Up to which moment schedules have begun what was due.

use jiff::Timestamp;

use crate::database::values;
use crate::decode::At;
use crate::{Result, Store};

impl Store {
    /// Up to which moment a schedule has begun what was due. One that was never heard of begins with `now`: nothing that
    /// was due before it existed is begun.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schedule(&self, name: &str, now: Timestamp) -> Result<Timestamp> {
        let up_to = self
            .database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "INSERT INTO schedules (name, up_to) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
                tx.execute(sql, values![name, now]).await?;
                let (up_to,): (i64,) = tx.one("SELECT up_to FROM schedules WHERE name = $1", values![name]).await?;
                tx.commit().await?;
                Ok(up_to)
            })
            .await?;
        At { table: "schedules", id: &name }.time("up_to", up_to)
    }

    /// Records that everything due up to a moment was begun; never goes back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schedule_done(&self, name: &str, up_to: Timestamp) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "UPDATE schedules SET up_to = $2 WHERE name = $1 AND up_to < $2";
                tx.execute(sql, values![name, up_to]).await?;
                tx.commit().await
            })
            .await
    }
}
