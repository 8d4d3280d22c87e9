//! Revisions: what a template planned and what was built from it. Immutable but for what was built, set once.

use std::collections::BTreeMap;

use convergence_model::plan::BuildPlan;
use convergence_model::tenant::{Built, PluginPin, Revision, RevisionState};
use convergence_model::{Limits, OperationId, RevisionNumber, Scope, TenantId, TenantSpec};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::lease::{self, Lease};
use crate::let_go;
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
    /// Why it is made, as its author wrote it; may be empty.
    pub reason: String,
    /// The revision it restores, if it is a rollback.
    pub restores: Option<RevisionNumber>,
    /// What was built already, where nothing is to be built.
    pub built: Option<Built>,
    /// The revision whose container it runs in, if it changes that one's limits while it runs.
    pub container: Option<RevisionNumber>,
}

/// Whose work a revision is, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    pub(crate) spec: &'a TenantSpec,
    pub(crate) operation: OperationId,
    pub(crate) actor: &'a str,
}

/// The columns of a [`RevisionRow`].
macro_rules! revision_columns {
    () => {
        "r.number, r.spec, r.state, r.operation, r.actor, r.reason, r.restores, r.plan, r.plugins, r.limits, r.image_tag, \
         r.built, r.created_at, r.container"
    };
}

#[derive(sqlx::FromRow)]
struct RevisionRow {
    number: i64,
    spec: String,
    state: String,
    operation: Option<String>,
    actor: String,
    reason: String,
    restores: Option<i64>,
    plan: String,
    plugins: String,
    limits: String,
    image_tag: Option<String>,
    built: Option<String>,
    created_at: i64,
    container: Option<i64>,
}

impl RevisionRow {
    fn read(self, tenant: TenantId) -> Result<Revision> {
        let at = At { table: "revisions", id: &format_args!("{tenant}/{}", self.number) };
        Ok(Revision {
            number: RevisionNumber(self.number),
            spec: at.json("spec", &self.spec)?,
            state: at.word("state", &self.state, RevisionState::parse)?,
            operation: self.operation.map(|id| at.parse("operation", &id).map(OperationId)).transpose()?,
            actor: self.actor,
            reason: self.reason,
            restores: self.restores.map(RevisionNumber),
            plan: at.json("plan", &self.plan)?,
            plugins: at.json("plugins", &self.plugins)?,
            limits: at.json("limits", &self.limits)?,
            image_tag: self.image_tag,
            built: self.built.map(|built| at.json("built", &built)).transpose()?,
            created_at: at.time("created_at", self.created_at)?,
            container: self.container.map(RevisionNumber),
        })
    }
}

impl Store {
    /// One revision of a tenant.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn revision(&self, scope: &Scope, tenant: TenantId, number: RevisionNumber) -> Result<Option<Revision>> {
        let sql = concat!(
            "SELECT ",
            revision_columns!(),
            " FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND r.number = $2 AND ($3 IS NULL OR t.org = $3)"
        );
        let row: Option<RevisionRow> = self.database.first(sql, values![tenant, number, scope]).await?;
        row.map(|row| row.read(tenant)).transpose()
    }

    /// The revision that a tenant runs; its first one where none ever ran.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn current_revision(&self, scope: &Scope, tenant: TenantId) -> Result<Option<Revision>> {
        let sql = concat!(
            "SELECT ",
            revision_columns!(),
            " FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND ($2 IS NULL OR t.org = $2) AND (t.current_revision IS NULL OR r.number = t.current_revision) \
             ORDER BY r.number LIMIT 1"
        );
        let row: Option<RevisionRow> = self.database.first(sql, values![tenant, scope]).await?;
        row.map(|row| row.read(tenant)).transpose()
    }

    /// Revisions of a tenant, newest first: those below `before`, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn revisions(
        &self,
        scope: &Scope,
        tenant: TenantId,
        before: Option<RevisionNumber>,
        limit: u32,
    ) -> Result<Vec<Revision>> {
        let sql = concat!(
            "SELECT ",
            revision_columns!(),
            " FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND ($2 IS NULL OR t.org = $2) AND r.number < $3 ORDER BY r.number DESC LIMIT $4"
        );
        let before = before.map_or(i64::MAX, |before| before.0);
        let rows: Vec<RevisionRow> = self.database.all(sql, values![tenant, scope, before, limit]).await?;
        rows.into_iter().map(|row| row.read(tenant)).collect()
    }

    /// The revisions of a tenant that are not up yet: the one that is being brought up, and the one that waits for its turn.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn pending_revisions(&self, scope: &Scope, tenant: TenantId) -> Result<Vec<Revision>> {
        let sql = concat!(
            "SELECT ",
            revision_columns!(),
            " FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND ($2 IS NULL OR t.org = $2) AND r.state = 'pending' ORDER BY r.number"
        );
        let rows: Vec<RevisionRow> = self.database.all(sql, values![tenant, scope]).await?;
        rows.into_iter().map(|row| row.read(tenant)).collect()
    }

    /// The newest revision below `number` that ran; none where there is none.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn ran_before(
        &self,
        scope: &Scope,
        tenant: TenantId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>> {
        let sql = concat!(
            "SELECT ",
            revision_columns!(),
            " FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.tenant = $1 AND ($2 IS NULL OR t.org = $2) AND r.number < $3 AND r.state IN ('ready', 'retired') \
             ORDER BY r.number DESC LIMIT 1"
        );
        let row: Option<RevisionRow> = self.database.first(sql, values![tenant, scope, number]).await?;
        row.map(|row| row.read(tenant)).transpose()
    }

    /// The tags that revisions of a tenant were, or are being, built as.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn image_tags_of(&self, tenant: TenantId) -> Result<Vec<String>> {
        let sql =
            "SELECT DISTINCT image_tag FROM revisions WHERE tenant = $1 AND image_tag IS NOT NULL ORDER BY image_tag";
        let rows: Vec<(String,)> = self.database.all(sql, values![tenant]).await?;
        Ok(rows.into_iter().map(|(tag,)| tag).collect())
    }

    /// Keeps the tag that an image is about to be built as, so that it is found again whatever becomes of the build,
    /// and so that nobody removes it meanwhile.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn revision_building(
        &self,
        lease: &Lease,
        number: RevisionNumber,
        tag: &str,
        now: Timestamp,
    ) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let tenant = lease::hold(&mut tx, lease).await?.tenant(&mut tx).await?;
                // What an attempt that was cut off built, from images that have changed since.
                let sql = "SELECT image_tag FROM revisions WHERE tenant = $1 AND number = $2 AND built IS NULL \
                     AND image_tag <> $3";
                if let Some((before,)) = tx.first::<(String,)>(sql, values![tenant, number, tag]).await? {
                    let_go::remember(&mut tx, &before, None, now).await?;
                }
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

    /// Whether a revision other than number `except` of `tenant` was, or is being, built as `tag`. Tenants that are being
    /// destroyed do not count.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn image_needed(&self, tag: &str, tenant: TenantId, except: RevisionNumber) -> Result<bool> {
        let sql = "SELECT COUNT(*) FROM revisions r JOIN tenants t ON t.id = r.tenant \
             WHERE r.image_tag = $1 AND (r.tenant <> $2 OR r.number <> $3) AND t.status <> 'destroying'";
        let row: Option<(i64,)> = self.database.first(sql, values![tag, tenant, except]).await?;
        Ok(row.is_some_and(|(count,)| count > 0))
    }
}

/// Adds a revision: one that is not built yet, or one that restores what was built.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    number: RevisionNumber,
    revision: &NewRevision,
    author: Author<'_>,
) -> Result<()> {
    let sql = "INSERT INTO revisions (tenant, number, plan, plugins, limits, created_at, spec, operation, actor, reason, state, \
         source, restores, image_tag, built, container) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'pending', $11, $12, $13, $14, $15)";
    let (plan, plugins, limits) = (to_json(&revision.plan)?, to_json(&revision.plugins)?, to_json(&revision.limits)?);
    let source = author.spec.source.digest().map(ToString::to_string);
    let (restores, built) = (revision.restores.map(|restores| restores.0), revision.built.as_ref());
    let values = values![
        tenant,
        number,
        plan,
        plugins,
        limits,
        revision.accepted_at,
        to_json(author.spec)?,
        author.operation,
        author.actor,
        revision.reason.as_str(),
        source,
        restores,
        built.map(|built| built.tag.clone()),
        built.map(to_json).transpose()?,
        revision.container.map(|container| container.0),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}
