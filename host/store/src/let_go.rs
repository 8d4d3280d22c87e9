//! What the store knew once and let go. Only what is proven here is removed from an engine without an operator's order: a
//! database that is empty, or older than what runs, proves nothing.

use convergence_model::EnvId;
use convergence_model::tenant::Built;
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::{Result, Store};

impl Store {
    /// Whether a tenant of this number was here once and is gone: it was destroyed, or its spawn was rolled back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn let_tenant_go(&self, env_id: EnvId) -> Result<bool> {
        let sql = "SELECT (SELECT COUNT(*) FROM audit WHERE env_id = $1 AND action IN ('tenant.destroyed', \
             'tenant.spawn-failed')), (SELECT COUNT(*) FROM tenants WHERE env_id = $1)";
        let row: Option<(i64, i64)> = self.database.first(sql, values![env_id]).await?;
        Ok(row.is_some_and(|(let_go, here)| let_go > 0 && here == 0))
    }

    /// Whether an image of this name (a tag, or the engine's id) was that of a revision that is gone, and is that of none
    /// there is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn let_image_go(&self, name: &str) -> Result<bool> {
        let sql = "SELECT (SELECT COUNT(*) FROM images_let_go WHERE name = $1), \
             (SELECT COUNT(*) FROM revisions WHERE image_tag = $1)";
        let row: Option<(i64, i64)> = self.database.first(sql, values![name]).await?;
        Ok(row.is_some_and(|(let_go, here)| let_go > 0 && here == 0))
    }
}

/// Remembers the images of a tenant that is about to be deleted.
pub(crate) async fn remember_images(tx: &mut Tx, tenant: EnvId, now: Timestamp) -> Result<()> {
    let sql = "SELECT r.image_tag, r.built FROM revisions r JOIN tenants t ON t.id = r.tenant \
         WHERE t.env_id = $1 AND r.image_tag IS NOT NULL";
    let rows: Vec<(String, Option<String>)> = tx.all(sql, values![tenant]).await?;
    for (tag, built) in rows {
        remember(tx, &tag, built.as_deref(), now).await?;
    }
    Ok(())
}

/// Remembers the image of a revision that needs it no longer.
pub(crate) async fn remember(tx: &mut Tx, tag: &str, built: Option<&str>, now: Timestamp) -> Result<()> {
    for name in std::iter::once(tag.to_owned()).chain(built.and_then(image_id)) {
        let sql =
            "INSERT INTO images_let_go (name, at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET at = excluded.at";
        tx.execute(sql, values![name, now]).await?;
    }
    Ok(())
}

/// The engine's id of what was built. What cannot be read proves nothing; that must not keep the tenant from going.
fn image_id(built: &str) -> Option<String> {
    serde_json::from_str::<Built>(built).ok().map(|built| built.image_id)
}

/// Forgets images that were let go before a moment.
pub(crate) async fn forget_images(tx: &mut Tx, before: Timestamp) -> Result<()> {
    tx.execute("DELETE FROM images_let_go WHERE at < $1", values![before]).await.map(drop)
}
