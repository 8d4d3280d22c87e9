//! How operations end. Each outcome is one transaction: what the operation was about, the operation and the audit change
//! together.

use convergence_model::operation::{Failure, OperationState};
use jiff::Timestamp;
use serde_json::Value;

use crate::database::{Tx, values};
use crate::decode::to_json;
use crate::lease::{self, Held, Lease};
use crate::{Result, Store, audit, deployment, let_go, secret};

/// What becomes of an operation's subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The tenant runs, and nothing is wrong with it: the revision of the operation, if it has one, else the one before.
    TenantRuns,
    /// The tenant is stopped, and stays so until somebody starts it.
    TenantStopped,
    /// The tenant is gone: row, binding, port, network, revisions, keys. What it did stays in operations and audit.
    TenantGone,
    /// The tenant stays as it is and has failed, for an operator to look at. Its reason is that of the operation.
    TenantFailed,
    /// The tenant was stopped for this reason, and has failed until somebody repairs or destroys it.
    TenantHalted(Option<Failure>),
}

/// How an operation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// A final one.
    pub state: OperationState,
    /// Why, unless it succeeded.
    pub failure: Option<Failure>,
    /// What it made, in the kind's own form.
    pub result: Option<Value>,
    /// What becomes of its subject.
    pub effect: Effect,
    /// As the audit names it, for example `tenant.spawned`.
    pub action: &'static str,
}

impl Store {
    /// Ends an operation.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn end(&self, lease: &Lease, ending: &Ending, now: Timestamp) -> Result<()> {
        let failure = ending.failure.as_ref();
        let (text, result) = (&failure.map(to_json).transpose()?, &ending.result.as_ref().map(to_json).transpose()?);
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let held = lease::hold(&mut tx, lease).await?;
                let turn = audit::turn_of_existing(&mut tx, held.org).await?;
                change(&mut tx, &held, lease, ending, now).await?;
                let sql = "UPDATE operations SET state = $2, failure = $3, result = $4, updated_at = $5, \
                     lease_owner = NULL, lease_until = NULL WHERE id = $1";
                let values = values![lease.operation, ending.state.as_str(), text.clone(), result.clone(), now];
                tx.execute(sql, values).await?;
                deployment::give_turn(&mut tx, &held.subject, now).await?;
                let detail = serde_json::json!({
                    "operation": lease.operation,
                    "state": ending.state.as_str(),
                    "step": failure.map(|failure| &failure.step),
                    "code": failure.map(|failure| &failure.code),
                });
                turn.record(&mut tx, held.entry(ending.action, detail, now)).await?;
                tx.commit().await
            })
            .await
    }
}

/// Changes what the operation was about. A tenant is found by its number, which is never used twice.
async fn change(tx: &mut Tx, held: &Held, lease: &Lease, ending: &Ending, now: Timestamp) -> Result<()> {
    let Some(env_id) = held.subject.env_id() else { return Ok(()) };
    deployment::settle(tx, env_id, lease.operation, ending, now).await?;
    secret::prune(tx, env_id).await?;
    let failed = "UPDATE tenants SET status = 'failed', failure = $3, updated_at = $2 WHERE env_id = $1";
    let (sql, reason) = match &ending.effect {
        Effect::None => return Ok(()),
        // Of a spawn that got stuck and was repaired, the first one is what the tenant asked for.
        Effect::TenantRuns => (
            "UPDATE tenants SET status = 'running', desired = 'running', failure = $3, updated_at = $2, observed_generation = generation, \
             current_revision = COALESCE(current_revision, (SELECT MIN(r.number) FROM revisions r WHERE r.tenant = tenants.id)) \
             WHERE env_id = $1",
            None,
        ),
        Effect::TenantStopped => (
            "UPDATE tenants SET status = 'stopped', desired = 'stopped', failure = $3, updated_at = $2, \
             observed_generation = generation WHERE env_id = $1",
            None,
        ),
        // Everything that belongs to it is deleted by the tables' own references.
        Effect::TenantGone => {
            let_go::remember_images(tx, env_id, now).await?;
            return tx.execute("DELETE FROM tenants WHERE env_id = $1", values![env_id]).await.map(drop);
        }
        Effect::TenantFailed => (failed, ending.failure.as_ref()),
        Effect::TenantHalted(reason) => (failed, reason.as_ref().or(ending.failure.as_ref())),
    };
    let reason = reason.map(to_json).transpose()?;
    tx.execute(sql, values![env_id, now, reason]).await?;
    if ending.effect == Effect::TenantRuns {
        let sql = "UPDATE revisions SET state = 'ready' WHERE state <> 'ready' AND (tenant, number) IN \
             (SELECT id, current_revision FROM tenants WHERE env_id = $1)";
        tx.execute(sql, values![env_id]).await?;
    }
    Ok(())
}
