//! Whose database this is.

use crate::database::values;
use crate::{Result, Store};

impl Store {
    /// Makes the database this installation's, if it is nobody's yet. Answers the id of the installation it belongs
    /// to where that is another one, or where `key_check` (derived from the master key) is not the one it was made with.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn adopt_installation(&self, id: &str, key_check: &str) -> Result<Option<String>> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "INSERT INTO installation (one, id, key_check) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
                tx.execute(sql, values![id, key_check]).await?;
                let sql = "SELECT id, key_check FROM installation";
                let (kept, kept_check): (String, String) = tx.one(sql, values![]).await?;
                tx.commit().await?;
                Ok((kept != id || kept_check != key_check).then_some(kept))
            })
            .await
    }
}
