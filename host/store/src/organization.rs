//! Organizations and what they use.

use convergence_model::policy::Usage;
use convergence_model::{OrgId, Scope};

use crate::database::values;
use crate::decode::At;
use crate::{Result, Store};

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its public id.
    pub id: OrgId,
    /// Its name.
    pub name: String,
    /// Its commercial plan, for example `free`.
    pub plan: String,
}

#[derive(sqlx::FromRow)]
struct UsageRow {
    tenants: i64,
    cpu_millis: i64,
    memory_mb: i64,
    disk_mb: i64,
}

impl Store {
    /// An organization within reach.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn organization(&self, scope: &Scope, org: OrgId) -> Result<Option<Organization>> {
        let sql = "SELECT name, plan FROM organizations WHERE id = $1 AND ($2 IS NULL OR id = $2)";
        let row: Option<(String, String)> = self.database.first(sql, values![org, scope]).await?;
        Ok(row.map(|(name, plan)| Organization { id: org, name, plan }))
    }

    /// What an organization's tenants are promised, in all: cores and memory once for each replica. Nothing
    /// for an organization out of reach.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn usage(&self, scope: &Scope, org: OrgId) -> Result<Usage> {
        // PostgreSQL's SUM of a bigint is a numeric, and of no row it is null on both.
        let sql = "SELECT COUNT(*) AS tenants, \
             CAST(COALESCE(SUM(cpu_millis * replicas), 0) AS BIGINT) AS cpu_millis, \
             CAST(COALESCE(SUM(memory_mb * replicas), 0) AS BIGINT) AS memory_mb, \
             CAST(COALESCE(SUM(disk_mb), 0) AS BIGINT) AS disk_mb \
             FROM tenants WHERE org = $1 AND ($2 IS NULL OR org = $2)";
        let Some(row): Option<UsageRow> = self.database.first(sql, values![org, scope]).await? else {
            return Ok(Usage::default());
        };
        let at = At { table: "tenants", id: &format_args!("(all of organization {org})") };
        Ok(Usage {
            tenants: at.narrow("COUNT", row.tenants)?,
            cpu_millis: at.narrow("SUM(cpu_millis)", row.cpu_millis)?,
            memory_mb: at.narrow("SUM(memory_mb)", row.memory_mb)?,
            disk_mb: at.narrow("SUM(disk_mb)", row.disk_mb)?,
        })
    }
}
