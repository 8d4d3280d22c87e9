//! Changes of a tenant's variables that wait for its next deployment.

use convergence_model::tenant::{Tenant, TenantStatus};
use convergence_model::{EnvId, Scope, TenantSpec, Verb};
use jiff::Timestamp;

use crate::database::values;
use crate::decode::{At, to_json};
use crate::deployment::Base;
use crate::secret::{self, NewSecret};
use crate::{Conflict, Result, Store, audit, name};

/// A configuration that a tenant's next revision is to have.
#[derive(Debug, Clone)]
pub struct NewConfiguration<'a> {
    /// What the tenant should be from then on.
    pub spec: &'a TenantSpec,
    /// Versions of secrets that come with it.
    pub secrets: &'a [NewSecret],
    /// What it was read from.
    pub base: Base,
    /// Who asks.
    pub actor: &'a str,
    /// What is different, for the audit: names, no values.
    pub changed: &'a [String],
    /// When.
    pub now: Timestamp,
}

impl Store {
    /// Keeps a configuration for the tenant's next revision, and answers the tenant; `None` where there is none within reach.
    /// What runs is not touched.
    ///
    /// # Errors
    /// [`Conflict::Deploying`]; [`Conflict::ChangedMeanwhile`]; [`Conflict::NotInThisState`] of a tenant that is being removed;
    /// when the database does not answer or a row cannot be read.
    pub async fn keep_configuration(
        &self,
        scope: &Scope,
        env_id: EnvId,
        new: &NewConfiguration<'_>,
    ) -> Result<Option<Tenant>> {
        let Some(found) = self.tenant(scope, env_id).await? else { return Ok(None) };
        let (org, tenant) = (found.org, found.id);
        let kept = self
            .database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(false) };
                let sql = "SELECT status, staged, name FROM tenants WHERE env_id = $1";
                let row: Option<(String, i64, String)> = tx.first(sql, values![env_id]).await?;
                let Some((status, staged, name)) = row else { return Ok(false) };
                let status = At { table: "tenants", id: &env_id }.word("status", &status, TenantStatus::parse)?;
                if !Verb::Change.from().contains(&status) {
                    return Err(Conflict::NotInThisState { verb: Verb::Change, status }.into());
                }
                let sql = "SELECT COUNT(*) FROM revisions WHERE tenant = $1 AND state = 'pending'";
                let (pending,): (i64,) = tx.one(sql, values![tenant]).await?;
                // What ends a deployment makes its revision's spec the tenant's.
                if pending > 0 {
                    return Err(Conflict::Deploying.into());
                }
                let sql = "SELECT COALESCE(MAX(number), 0) FROM revisions WHERE tenant = $1";
                let (last,): (i64,) = tx.one(sql, values![tenant]).await?;
                if staged != i64::from(new.base.staged) || last != new.base.revision.0 {
                    return Err(Conflict::ChangedMeanwhile.into());
                }
                secret::insert(&mut tx, tenant, new.secrets, new.actor, new.now).await?;
                secret::refuse_missing(&mut tx, tenant, new.spec).await?;
                let sql = "UPDATE tenants SET spec = $2, staged = staged + 1, updated_at = $3 WHERE env_id = $1";
                // It may have got another name since.
                let spec = TenantSpec { name: name::stored(env_id.0, &name)?, ..new.spec.clone() };
                tx.execute(sql, values![env_id, to_json(&spec)?, new.now]).await?;
                secret::prune(&mut tx, env_id).await?;
                let detail = serde_json::json!({ "changed": new.changed });
                let entry = audit::Entry {
                    at: new.now,
                    actor: new.actor,
                    action: "tenant.configured",
                    env_id: Some(env_id),
                    detail,
                };
                turn.record(&mut tx, entry).await?;
                tx.commit().await?;
                Ok(true)
            })
            .await?;
        if kept { self.tenant(scope, env_id).await } else { Ok(None) }
    }
}
