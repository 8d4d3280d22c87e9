//! How operations end. Each outcome is one transaction: the tenant, the operation and the audit change together.

use convergence_model::operation::{Failure, OperationState};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::to_json;
use crate::lease::{self, Held, Lease};
use crate::{Result, Store, audit};

/// What becomes of the tenant.
#[derive(Clone, Copy)]
enum Fate {
    /// It runs its newest revision.
    Runs,
    /// It is gone: row, binding, port, network, revisions, keys.
    Gone,
    /// It stays as it is, for an operator to look at.
    Failed,
}

impl Store {
    /// A spawn is done: the tenant runs its newest revision.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn finish_spawn(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        self.end(lease, OperationState::Succeeded, None, Fate::Runs, "tenant.spawned", now).await
    }

    /// A destroy is done: the tenant and everything it had is gone, its name, port and network are free.
    /// What it did stays in operations and audit.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn finish_destroy(&self, lease: &Lease, now: Timestamp) -> Result<()> {
        self.end(lease, OperationState::Succeeded, None, Fate::Gone, "tenant.destroyed", now).await
    }

    /// A spawn failed. `undone` tells whether all its effects are gone again: then so is the tenant, and the
    /// operation is `failed`; otherwise the tenant is `failed` and the operation `stuck`.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn fail_spawn(&self, lease: &Lease, failure: &Failure, undone: bool, now: Timestamp) -> Result<()> {
        let (state, fate) =
            if undone { (OperationState::Failed, Fate::Gone) } else { (OperationState::Stuck, Fate::Failed) };
        self.end(lease, state, Some(failure), fate, "tenant.spawn-failed", now).await
    }

    /// A destroy failed: the tenant is `failed`, the operation `stuck`; it may be asked for again.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`](crate::StoreError::LeaseLost); when the database does not answer.
    pub async fn fail_destroy(&self, lease: &Lease, failure: &Failure, now: Timestamp) -> Result<()> {
        self.end(lease, OperationState::Stuck, Some(failure), Fate::Failed, "tenant.destroy-failed", now).await
    }

    async fn end(
        &self,
        lease: &Lease,
        state: OperationState,
        failure: Option<&Failure>,
        fate: Fate,
        action: &'static str,
        now: Timestamp,
    ) -> Result<()> {
        let text = failure.map(to_json).transpose()?;
        let text = &text;
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let held = lease::hold(&mut tx, lease).await?;
                let turn = audit::turn_of_existing(&mut tx, held.org).await?;
                meet(&mut tx, &held, fate, now).await?;
                let sql = "UPDATE operations SET state = $2, failure = $3, updated_at = $4, \
                     lease_owner = NULL, lease_until = NULL WHERE id = $1";
                tx.execute(sql, values![lease.operation, state.as_str(), text.clone(), now]).await?;
                let detail = serde_json::json!({
                    "operation": lease.operation,
                    "state": state.as_str(),
                    "step": failure.map(|failure| &failure.step),
                    "code": failure.map(|failure| &failure.code),
                });
                turn.record(&mut tx, held.entry(action, detail, now)).await?;
                tx.commit().await
            })
            .await
    }
}

async fn meet(tx: &mut Tx, held: &Held, fate: Fate, now: Timestamp) -> Result<()> {
    let sql = match fate {
        Fate::Runs => {
            "UPDATE tenants SET status = 'running', updated_at = $2, observed_generation = generation, \
             current_revision = (SELECT MAX(number) FROM revisions WHERE tenant = $1) WHERE id = $1"
        }
        // Everything that belongs to it is deleted by the tables' own references.
        Fate::Gone => return tx.execute("DELETE FROM tenants WHERE id = $1", values![held.tenant]).await.map(drop),
        Fate::Failed => "UPDATE tenants SET status = 'failed', updated_at = $2 WHERE id = $1",
    };
    tx.execute(sql, values![held.tenant, now]).await.map(drop)
}
