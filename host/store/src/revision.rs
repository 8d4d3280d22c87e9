//! Revisions: what a template planned and what was built from it. Immutable but for what was built, set once.

use std::collections::BTreeMap;

use convergence_model::plan::BuildPlan;
use convergence_model::tenant::{Built, PluginPin, Revision};
use convergence_model::{Limits, RevisionNumber, Scope, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::lease::{self, Lease};
use crate::{Conflict, Result, Store, StoreError};

/// A revision to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRevision {
    /// When the request was accepted: the time that clocks showed to the plugins, kept as the revision's `created_at`.
    pub accepted_at: Timestamp,
    /// What the template returned, after the guard.
    pub plan: BuildPlan,
    /// Which components decided: plugin id → version and digest.
    pub plugins: BTreeMap<String, PluginPin>,
    /// Limits after policies tightened them.
    pub limits: Limits,
}

#[derive(sqlx::FromRow)]
struct RevisionRow {
    number: i64,
    plan: String,
    plugins: String,
    limits: String,
    image_tag: Option<String>,
    built: Option<String>,
    created_at: i64,
}

impl RevisionRow {
    fn read(self, tenant: TenantId) -> Result<Revision> {
        let at = At { table: "revisions", id: &format_args!("{tenant}/{}", self.number) };
        Ok(Revision {
            number: RevisionNumber(self.number),
            plan: at.json("plan", &self.plan)?,
            plugins: at.json("plugins", &self.plugins)?,
            limits: at.json("limits", &self.limits)?,
            image_tag: self.image_tag,
            built: self.built.map(|built| at.json("built", &built)).transpose()?,
            created_at: at.time("created_at", self.created_at)?,
        })
    }
}

impl Store {
    /// One revision of a tenant.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn revision(&self, scope: &Scope, tenant: TenantId, number: RevisionNumber) -> Result<Option<Revision>> {
        let sql = "SELECT r.number, r.plan, r.plugins, r.limits, r.image_tag, r.built, r.created_at \
             FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND r.number = $2 AND ($3 IS NULL OR t.org = $3)";
        let row: Option<RevisionRow> = self.database.first(sql, values![tenant, number, scope]).await?;
        row.map(|row| row.read(tenant)).transpose()
    }

    /// A tenant's newest revision, which need not be the one that runs.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn latest_revision(&self, scope: &Scope, tenant: TenantId) -> Result<Option<Revision>> {
        let sql = "SELECT r.number, r.plan, r.plugins, r.limits, r.image_tag, r.built, r.created_at \
             FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND ($2 IS NULL OR t.org = $2) ORDER BY r.number DESC LIMIT 1";
        let row: Option<RevisionRow> = self.database.first(sql, values![tenant, scope]).await?;
        row.map(|row| row.read(tenant)).transpose()
    }

    /// Keeps the tag that an image is about to be built as, so that it is found again whatever becomes of the build,
    /// and so that nobody removes it meanwhile.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn revision_building(&self, lease: &Lease, number: RevisionNumber, tag: &str) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let tenant = lease::hold(&mut tx, lease).await?.tenant(&mut tx).await?;
                let sql = "UPDATE revisions SET image_tag = $3 WHERE tenant = $1 AND number = $2 AND built IS NULL";
                tx.execute(sql, values![tenant, number, tag]).await?;
                tx.commit().await
            })
            .await
    }

    /// Keeps what was built from a revision of the operation's tenant. Saying the same again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`Conflict::AlreadyBuilt`] when something else is kept already;
    /// [`StoreError::Corrupt`] when there is no such revision; when the database does not answer.
    pub async fn revision_built(&self, lease: &Lease, number: RevisionNumber, built: &Built) -> Result<()> {
        let text = to_json(built)?;
        let text = text.as_str();
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let tenant = lease::hold(&mut tx, lease).await?.tenant(&mut tx).await?;
                let sql = "UPDATE revisions SET image_tag = $3, built = $4 \
                     WHERE tenant = $1 AND number = $2 AND built IS NULL";
                if tx.execute(sql, values![tenant, number, built.tag.as_str(), text]).await? == 0 {
                    let sql = "SELECT built FROM revisions WHERE tenant = $1 AND number = $2";
                    let row: Option<(Option<String>,)> = tx.first(sql, values![tenant, number]).await?;
                    let id = format!("{tenant}/{number}");
                    let Some((Some(kept),)) = row else {
                        return Err(StoreError::corrupt("revisions", id, "the row is gone"));
                    };
                    let kept: Built = At { table: "revisions", id: &id }.json("built", &kept)?;
                    if kept != *built {
                        return Err(Conflict::AlreadyBuilt { tenant, number }.into());
                    }
                }
                tx.commit().await
            })
            .await
    }

    /// Whether a revision of a tenant other than `except` was, or is being, built as `tag`. Tenants that are being destroyed
    /// do not count: of two that share an image, the last one to go takes it along.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn image_in_use(&self, tag: &str, except: TenantId) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.image_tag = $1 AND r.tenant <> $2 AND t.status <> 'destroying'";
        let row: Option<(i64,)> = self.database.first(sql, values![tag, except]).await?;
        Ok(row.is_some_and(|(count,)| count > 0))
    }
}

/// Adds a revision that is not built yet.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    number: RevisionNumber,
    revision: &NewRevision,
) -> Result<()> {
    let sql =
        "INSERT INTO revisions (tenant, number, plan, plugins, limits, created_at) VALUES ($1, $2, $3, $4, $5, $6)";
    let (plan, plugins, limits) = (to_json(&revision.plan)?, to_json(&revision.plugins)?, to_json(&revision.limits)?);
    tx.execute(sql, values![tenant, number, plan, plugins, limits, revision.accepted_at]).await?;
    Ok(())
}
