//! What can be asked about tenants there are: to do something to one, to take that back, to try it again.

use std::time::Duration;

use convergence_model::operation::{Direction, Operation, OperationKind, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, OperationId, OrgId, Scope, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::lease::micros;
use crate::operation::{self, NewOperation, OperationRow, Subject, columns};
use crate::{Conflict, Result, Store, StoreError, audit};

/// What the audit says of who asked for something, when it is the platform itself.
pub const PLATFORM: &str = "platform";

/// What a tenant must be like for an operation, and what it is from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Any of these; any at all where empty.
    pub from: &'static [TenantStatus],
    /// What it is from the moment the operation is accepted; unchanged where `None`.
    pub to: Option<TenantStatus>,
    /// As the audit names the request, for example `tenant.destroy`.
    pub action: &'static str,
}

impl Store {
    /// Accepts an operation on a tenant: operation, status and audit row, or none of them. `None` when there is no such
    /// tenant within reach, or it is not as `entry` wants it.
    ///
    /// Whoever asks for a destroy need not wait for a repair that nobody works on: it is cancelled.
    ///
    /// # Errors
    /// [`Conflict::TenantBusy`] while another operation on it is not finished; when the database does not
    /// answer or a row cannot be read.
    pub async fn begin(
        &self,
        scope: &Scope,
        env_id: EnvId,
        new: &NewOperation,
        entry: Entry,
    ) -> Result<Option<Operation>> {
        let Some(org) = self.tenant(scope, env_id).await?.map(|tenant| tenant.org) else { return Ok(None) };
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                make_way(&mut tx, env_id, new).await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(None) };
                let sql = "SELECT id, status, name FROM tenants WHERE env_id = $1 AND ($2 IS NULL OR org = $2)";
                let row: Option<(String, String, String)> = tx.first(sql, values![env_id, scope]).await?;
                let Some((id, status, name)) = row else { return Ok(None) };
                let (tenant, status) = read(env_id, &id, &status)?;
                if !entry.from.is_empty() && !entry.from.contains(&status) {
                    return Ok(None);
                }
                let subject = Subject { tenant, env_id, org };
                // Asked for before anything is written, so that this never waits for a worker that is
                // finishing and wants the turn taken above.
                refuse_busy(&mut tx, subject.tenant).await?;
                if let Some(to) = entry.to {
                    let desired = if to == TenantStatus::Destroying { "absent" } else { "running" };
                    let sql = "UPDATE tenants SET status = $2, desired = $3, generation = generation + 1, \
                         updated_at = $4 WHERE env_id = $1";
                    tx.execute(sql, values![env_id, to.as_str(), desired, new.now]).await?;
                }
                let operation = operation::insert(&mut tx, subject, new).await?;
                let detail = match new.input.reason.as_str() {
                    "" => serde_json::json!({ "operation": operation.id, "name": name }),
                    reason => serde_json::json!({ "operation": operation.id, "name": name, "reason": reason }),
                };
                let told = audit::Entry { at: new.now, actor: &new.actor, action: entry.action, env_id, detail };
                turn.record(&mut tx, told).await?;
                tx.commit().await?;
                Ok(Some(operation))
            })
            .await
    }

    /// Accepts an operation on what no tenant in the store has, under the number it carries in the engine. `None` when
    /// there is such a tenant after all, or something is being done about that number already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_sweep(&self, org: OrgId, env_id: EnvId, new: &NewOperation) -> Result<Option<Operation>> {
        // Never the id of a tenant: theirs carry the time in their first half.
        let number = u128::from(env_id.0.unsigned_abs());
        let subject = Subject { tenant: TenantId(uuid::Uuid::from_u128(number)), env_id, org };
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(None) };
                let sql = "SELECT (SELECT COUNT(*) FROM tenants WHERE env_id = $1) + (SELECT COUNT(*) FROM operations \
                     WHERE env_id = $1 AND state IN ('queued', 'running'))";
                let (known,): (i64,) = tx.one(sql, values![env_id]).await?;
                if known > 0 {
                    return Ok(None);
                }
                let operation = operation::insert(&mut tx, subject, new).await?;
                let detail = serde_json::json!({ "operation": operation.id, "leftovers": new.input.leftovers });
                let (at, actor) = (new.now, new.actor.as_str());
                turn.record(&mut tx, audit::Entry { at, actor, action: "engine.sweep", env_id, detail }).await?;
                tx.commit().await?;
                Ok(Some(operation))
            })
            .await
    }

    /// Asks whoever works on an operation, or takes it next, to take it back. Asking again changes nothing. `None` when
    /// there is no such operation within reach.
    ///
    /// # Errors
    /// [`Conflict::Over`]; when the database does not answer or the row cannot be read.
    pub async fn request_cancel(
        &self,
        scope: &Scope,
        operation: OperationId,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Operation>> {
        self.change_asked(scope, operation, Change::Cancel, actor, now).await
    }

    /// Puts an operation that is stuck, or that failed and left its tenant, into the queue again, to go on the way it
    /// was going for as long as `patience`. `None` when there is no such operation within reach.
    ///
    /// # Errors
    /// [`Conflict::NotRetryable`]; [`Conflict::TenantBusy`]; when the database does not answer or the row cannot be
    /// read.
    pub async fn request_retry(
        &self,
        scope: &Scope,
        operation: OperationId,
        patience: Duration,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Operation>> {
        self.change_asked(scope, operation, Change::Retry { patience }, actor, now).await
    }

    /// One change to an operation on somebody's request, with its audit row.
    async fn change_asked(
        &self,
        scope: &Scope,
        id: OperationId,
        change: Change,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Operation>> {
        if self.operation(scope, id).await?.is_none() {
            return Ok(None);
        }
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                // Locked, so that it does not end meanwhile; the operation before the turn, as a worker that ends it does.
                let sql =
                    concat!("UPDATE operations SET lease_epoch = lease_epoch WHERE id = $1 RETURNING ", columns!());
                let Some(row) = tx.first::<OperationRow>(sql, values![id]).await? else { return Ok(None) };
                let before = row.read()?;
                let turn = audit::turn_of_existing(&mut tx, before.org).await?;
                let action = match change {
                    Change::Cancel => cancel(&mut tx, &before, now).await?,
                    Change::Retry { patience } => try_again(&mut tx, &before, patience, now).await?,
                };
                let detail = serde_json::json!({ "operation": id, "state": before.state.as_str() });
                turn.record(&mut tx, audit::Entry { at: now, actor, action, env_id: before.env_id, detail }).await?;
                tx.commit().await?;
                self.operation(scope, id).await
            })
            .await
    }
}

fn read(env_id: EnvId, id: &str, status: &str) -> Result<(TenantId, TenantStatus)> {
    let at = At { table: "tenants", id: &env_id };
    Ok((TenantId(at.parse("id", id)?), at.word("status", status, TenantStatus::parse)?))
}

/// What somebody wants of an operation.
#[derive(Clone, Copy)]
enum Change {
    Cancel,
    Retry { patience: Duration },
}

async fn cancel(tx: &mut Tx, before: &Operation, now: Timestamp) -> Result<&'static str> {
    if before.state.is_final() {
        return Err(Conflict::Over { operation: before.id, state: before.state.as_str() }.into());
    }
    // Waiting for something to pass is over, too: the way back begins at once.
    let sql = "UPDATE operations SET cancel = 1, not_before = 0, updated_at = $2 WHERE id = $1";
    tx.execute(sql, values![before.id, now]).await?;
    Ok("operation.cancel")
}

async fn try_again(tx: &mut Tx, before: &Operation, patience: Duration, now: Timestamp) -> Result<&'static str> {
    let (tenants,): (i64,) = tx.one("SELECT COUNT(*) FROM tenants WHERE id = $1", values![before.tenant]).await?;
    let has_something_left = tenants > 0 || before.kind == OperationKind::Sweep;
    if !has_something_left || !matches!(before.state, OperationState::Stuck | OperationState::Failed) {
        return Err(Conflict::NotRetryable { operation: before.id, state: before.state.as_str() }.into());
    }
    refuse_busy(tx, before.tenant).await?;
    let deadline = tx.clock().await?.saturating_add(micros(patience));
    let keeps_failure = i64::from(before.direction == Direction::Back);
    let sql = "UPDATE operations SET state = 'queued', cancel = 0, retries = 0, crashes = 0, not_before = 0, \
         failure = CASE WHEN $4 = 1 THEN failure END, deadline = $2, updated_at = $3 WHERE id = $1";
    tx.execute(sql, values![before.id, deadline, now, keeps_failure]).await?;
    Ok("operation.retry")
}

/// Lets a destroy past a repair that nobody works on. One that somebody works on has to be stopped first: what its worker
/// has asked of the engine may happen after everything is removed.
async fn make_way(tx: &mut Tx, env_id: EnvId, new: &NewOperation) -> Result<()> {
    if new.kind == OperationKind::Destroy {
        let sql = "UPDATE operations SET state = 'cancelled', updated_at = $2 \
             WHERE env_id = $1 AND kind IN ('repair', 'halt') AND state = 'queued'";
        tx.execute(sql, values![env_id, new.now]).await?;
    }
    Ok(())
}

async fn refuse_busy(tx: &mut Tx, tenant: TenantId) -> Result<()> {
    let sql = "SELECT id FROM operations WHERE tenant = $1 AND state IN ('queued', 'running')";
    match tx.first::<(String,)>(sql, values![tenant]).await? {
        None => Ok(()),
        Some((active,)) => {
            let operation = At { table: "operations", id: &active }.parse("id", &active)?;
            Err(StoreError::from(Conflict::TenantBusy { operation }))
        }
    }
}
