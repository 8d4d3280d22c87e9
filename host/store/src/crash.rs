//! Tenants whose container ended by itself, again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, TenantId};

use crate::database::values;
use crate::decode::At;
use crate::lease::micros;
use crate::{Result, Store};

/// What a reconciler wants to know of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its row.
    pub tenant: TenantId,
    /// What it is doing.
    pub status: TenantStatus,
    /// An operation on it is not finished.
    pub busy: bool,
    /// How often it ended by itself without having stayed up for long since.
    pub crashes: u32,
    /// Whether it is too early to start it again.
    pub resting: bool,
}

#[derive(sqlx::FromRow)]
struct StandingRow {
    id: String,
    env_id: i64,
    status: String,
    busy: i64,
    crashes: i64,
    not_before: i64,
}

impl Store {
    /// How every tenant stands, of every organization. For the platform's own reconcilers.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn standings(&self) -> Result<BTreeMap<EnvId, Standing>> {
        let sql = "SELECT t.id, t.env_id, t.status, CAST(CASE WHEN o.id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS busy, \
             COALESCE(c.crashes, 0) AS crashes, COALESCE(c.not_before, 0) AS not_before FROM tenants t \
             LEFT JOIN operations o ON o.subject = 'tenant/' || t.env_id AND o.exclusive = 1 \
             AND o.state IN ('queued', 'running', 'waiting') \
             LEFT JOIN crash_loops c ON c.tenant = t.id";
        let clock = {
            let mut tx = self.database.begin().await?;
            tx.clock().await?
        };
        let rows: Vec<StandingRow> = self.database.all(sql, Vec::new()).await?;
        let read = |row: StandingRow| {
            let at = At { table: "tenants", id: &row.env_id };
            let standing = Standing {
                tenant: TenantId(at.parse("id", &row.id)?),
                status: at.word("status", &row.status, TenantStatus::parse)?,
                busy: row.busy != 0,
                crashes: at.narrow("crashes", row.crashes)?,
                resting: row.not_before > clock,
            };
            Ok((EnvId(row.env_id), standing))
        };
        rows.into_iter().map(read).collect()
    }

    /// Every tag that a revision was, or is being, built as.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn image_tags(&self) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT image_tag FROM revisions WHERE image_tag IS NOT NULL";
        let rows: Vec<(String,)> = self.database.all(sql, Vec::new()).await?;
        Ok(rows.into_iter().map(|(tag,)| tag).collect())
    }

    /// Counts a crash of a tenant, which rests for `pause` from now on the database's clock.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn count_crash(&self, tenant: TenantId, pause: Duration) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let not_before = tx.clock().await?.saturating_add(micros(pause));
                // Not of a tenant that is gone meanwhile.
                let sql = "INSERT INTO crash_loops (tenant, crashes, not_before) \
                     SELECT id, 1, $2 FROM tenants WHERE id = $1 \
                     ON CONFLICT (tenant) DO UPDATE SET crashes = crash_loops.crashes + 1, not_before = excluded.not_before";
                tx.execute(sql, values![tenant, not_before]).await?;
                tx.commit().await
            })
            .await
    }

    /// Forgives a tenant that stays up, or that somebody wants started again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forgive_crashes(&self, tenant: TenantId) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                tx.execute("DELETE FROM crash_loops WHERE tenant = $1", values![tenant]).await?;
                tx.commit().await
            })
            .await
    }
}
