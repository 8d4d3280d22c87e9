//! What is changed of a tenant without touching what runs: its name, and whether it is protected.

use convergence_model::tenant::{Tenant, TenantStatus};
use convergence_model::{EnvId, Scope, TenantName, TenantSpec, Verb};
use jiff::Timestamp;

use crate::database::values;
use crate::decode::{At, to_json};
use crate::{Conflict, Result, Store, audit, name};

/// What is to be different. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantChange {
    /// Its name.
    pub name: Option<TenantName>,
    /// Whether it is destroyed only when it is named again.
    pub protected: Option<bool>,
}

impl Store {
    /// Changes a tenant, and answers it as it is from then on; `None` where there is none within reach. What runs is not
    /// touched: an app is told its new name with its next revision.
    ///
    /// # Errors
    /// [`Conflict::NameTaken`]; [`Conflict::NotInThisState`] of one that is being removed; when the database does not answer or
    /// a row cannot be read.
    pub async fn change_tenant(
        &self,
        scope: &Scope,
        env_id: EnvId,
        change: &TenantChange,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Tenant>> {
        let Some(org) = self.tenant(scope, env_id).await?.map(|tenant| tenant.org) else { return Ok(None) };
        let changed = self
            .database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(false) };
                let sql = "SELECT status, spec, protected FROM tenants WHERE env_id = $1";
                let row: Option<(String, String, i64)> = tx.first(sql, values![env_id]).await?;
                let Some((status, spec, was)) = row else { return Ok(false) };
                let (status, mut spec): (TenantStatus, TenantSpec) = {
                    let at = At { table: "tenants", id: &env_id };
                    (at.word("status", &status, TenantStatus::parse)?, at.json("spec", &spec)?)
                };
                if !Verb::Change.from().contains(&status) {
                    return Err(Conflict::NotInThisState { verb: Verb::Change, status }.into());
                }
                let before = spec.name.clone();
                if let Some(wanted) = change.name.as_ref().filter(|wanted| **wanted != before) {
                    name::refuse_taken(&mut tx, org, wanted, Some(env_id)).await?;
                    spec.name = wanted.clone();
                }
                let protected = change.protected.map_or(was, i64::from);
                if spec.name == before && protected == was {
                    return Ok(true);
                }
                let sql = "UPDATE tenants SET name = $2, spec = $3, protected = $4, updated_at = $5 \
                     WHERE env_id = $1";
                tx.execute(sql, values![env_id, spec.name.as_str(), to_json(&spec)?, protected, now]).await?;
                let detail = serde_json::json!({
                    "before": { "name": before, "protected": was != 0 },
                    "after": { "name": spec.name, "protected": protected != 0 },
                });
                turn.record(
                    &mut tx,
                    audit::Entry { at: now, actor, action: "tenant.changed", env_id: Some(env_id), detail },
                )
                .await?;
                tx.commit().await?;
                Ok(true)
            })
            .await?;
        if changed { self.tenant(scope, env_id).await } else { Ok(None) }
    }
}
