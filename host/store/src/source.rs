//! Whose a source is that was uploaded. What is in it lies in a folder, under its digest.

use convergence_model::{OrgId, Source, SourceDigest};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::{Conflict, Result, Store};

impl Store {
    /// An organization has this source from now on, unless it has `limit` bytes of sources then.
    ///
    /// # Errors
    /// [`Conflict::SourcesFull`]; when the database does not answer.
    pub async fn add_source(
        &self,
        org: OrgId,
        digest: &SourceDigest,
        bytes: u64,
        files: usize,
        limit: u64,
        now: Timestamp,
    ) -> Result<()> {
        let (digest, bytes) = (digest.to_string(), i64::try_from(bytes).unwrap_or(i64::MAX));
        let digest = digest.as_str();
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "INSERT INTO sources (org, digest, bytes, files, received_at) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (org, digest) DO UPDATE SET received_at = excluded.received_at";
                tx.execute(sql, values![org, digest, bytes, files, now]).await?;
                let sql = "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM sources WHERE org = $1";
                let (kept,): (i64,) = tx.one(sql, values![org]).await?;
                let kept = u64::try_from(kept).unwrap_or_default();
                if kept > limit {
                    return Err(Conflict::SourcesFull { bytes: kept, limit }.into());
                }
                tx.commit().await
            })
            .await
    }

    /// Whether an organization has this source.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_source(&self, org: OrgId, digest: &SourceDigest) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM sources WHERE org = $1 AND digest = $2";
        let row: Option<(i64,)> = self.database.first(sql, values![org, digest.to_string()]).await?;
        Ok(row.is_some_and(|(count,)| count > 0))
    }

    /// Whether any organization has this source.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_source_known(&self, digest: &SourceDigest) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM sources WHERE digest = $1";
        let row: Option<(i64,)> = self.database.first(sql, values![digest.to_string()]).await?;
        Ok(row.is_some_and(|(count,)| count > 0))
    }

    /// Forgets sources that were uploaded before a moment and that no revision may be built from any more. Answers those
    /// that no organization has from now on.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn forget_sources(&self, before: Timestamp) -> Result<Vec<SourceDigest>> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "SELECT digest FROM sources s WHERE NOT EXISTS (SELECT 1 FROM revisions r WHERE r.source = s.digest) \
                     GROUP BY digest HAVING MAX(received_at) < $1";
                let rows: Vec<(String,)> = tx.all(sql, values![before]).await?;
                let mut forgotten = Vec::new();
                for (digest,) in rows {
                    // Asked again: somebody may have uploaded or deployed it since.
                    let sql = "DELETE FROM sources WHERE digest = $1 AND received_at < $2 \
                         AND NOT EXISTS (SELECT 1 FROM revisions r WHERE r.source = sources.digest)";
                    if tx.execute(sql, values![digest.as_str(), before]).await? > 0 {
                        forgotten.push(At { table: "sources", id: &digest }.parse("digest", &digest)?);
                    }
                }
                tx.commit().await?;
                Ok(forgotten)
            })
            .await
    }
}

/// Refuses a source that the organization does not have, and keeps one that it has from being forgotten meanwhile.
pub(crate) async fn refuse_unknown(tx: &mut Tx, org: OrgId, source: &Source, now: Timestamp) -> Result<()> {
    let Some(digest) = source.digest() else { return Ok(()) };
    let sql = "UPDATE sources SET received_at = $3 WHERE org = $1 AND digest = $2";
    match tx.execute(sql, values![org, digest.to_string(), now]).await? {
        0 => Err(Conflict::NoSource { digest: digest.clone() }.into()),
        _ => Ok(()),
    }
}
