//! How operations end. Each outcome is one transaction: the tenant, the operation and the audit change together.

use convergence_model::operation::{Failure, Made, OperationState};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::to_json;
use crate::lease::{self, Held, Lease};
use crate::{Result, Store, audit};

/// What becomes of the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs its newest revision.
    Runs,
    /// It is gone: row, binding, port, network, revisions, keys. What it did stays in operations and audit.
    Gone,
    /// It stays as it is, for an operator to look at.
    Failed,
    /// The operation was not about a tenant there is.
    Untouched,
}

/// How an operation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// A final one.
    pub state: OperationState,
    /// Why, unless it succeeded.
    pub failure: Option<Failure>,
    /// What it made.
    pub result: Option<Made>,
    /// What becomes of the tenant.
    pub fate: Fate,
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
                meet(&mut tx, &held, ending.fate, now).await?;
                let sql = "UPDATE operations SET state = $2, failure = $3, result = $4, updated_at = $5, \
                     lease_owner = NULL, lease_until = NULL WHERE id = $1";
                let values = values![lease.operation, ending.state.as_str(), text.clone(), result.clone(), now];
                tx.execute(sql, values).await?;
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

async fn meet(tx: &mut Tx, held: &Held, fate: Fate, now: Timestamp) -> Result<()> {
    let sql = match fate {
        Fate::Runs => {
            "UPDATE tenants SET status = 'running', updated_at = $2, observed_generation = generation, \
             current_revision = (SELECT MAX(number) FROM revisions WHERE tenant = $1) WHERE id = $1"
        }
        // Everything that belongs to it is deleted by the tables' own references.
        Fate::Gone => return tx.execute("DELETE FROM tenants WHERE id = $1", values![held.tenant]).await.map(drop),
        Fate::Failed => "UPDATE tenants SET status = 'failed', updated_at = $2 WHERE id = $1",
        Fate::Untouched => return Ok(()),
    };
    tx.execute(sql, values![held.tenant, now]).await.map(drop)
}
