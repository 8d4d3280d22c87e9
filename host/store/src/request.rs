//! What can be asked about tenants there are: to do something to one, to cancel that, to retry it.

use std::time::Duration;

use convergence_model::operation::{Direction, Operation, OperationState, Subject};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, OperationId, OrgId, Scope, Verb};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::lease::micros;
use crate::operation::{self, NewOperation, OperationRow, columns};
use crate::{Conflict, Result, Store, StoreError, audit, deployment, name};

/// What the audit says of who asked for something, when it is the platform itself.
pub const PLATFORM: &str = "platform";
/// Whose the platform's own operations and audit rows are.
pub const PLATFORM_ORG: OrgId = OrgId(1);

/// What a tenant must be like for an operation, and what it is from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Any of these; any at all where empty.
    pub from: &'static [TenantStatus],
    /// What somebody asks for, to be told where the tenant is in another state; none where the platform asks, which looks
    /// again.
    pub verb: Option<Verb>,
    /// The name that was given again, for a protected tenant.
    pub confirm: Option<&'a str>,
    /// What it is from the moment the operation is accepted; unchanged where `None`.
    pub to: Option<TenantStatus>,
    /// As the audit names the request, for example `tenant.destroy`.
    pub action: &'static str,
}

impl<'a> Entry<'a> {
    /// What somebody asks for.
    pub fn asked(verb: Verb, to: Option<TenantStatus>, action: &'static str) -> Self {
        Self { from: verb.from(), verb: Some(verb), confirm: None, to, action }
    }

    /// What the platform finds to be done to a tenant in one of these states.
    pub const fn found(from: &'static [TenantStatus], action: &'static str) -> Self {
        Self { from, verb: None, confirm: None, to: None, action }
    }

    /// With the name that was given again.
    #[must_use]
    pub fn confirmed(self, confirm: Option<&'a str>) -> Self {
        Self { confirm, ..self }
    }
}

impl Store {
    /// Accepts an operation on a tenant: operation, status and audit row, or none of them. `None` when there is no such
    /// tenant within reach, or it is not as `entry` wants it.
    ///
    /// What yields and is not begun is cancelled instead of being waited for.
    ///
    /// # Errors
    /// [`Conflict::SubjectBusy`] while another operation on it is not finished; [`Conflict::NotInThisState`] where somebody
    /// asks; [`Conflict::Protected`] and
    /// [`Conflict::NamedOtherwise`] where it is to be destroyed; when the database does not answer or a row cannot be read.
    pub async fn begin(
        &self,
        scope: &Scope,
        env_id: EnvId,
        new: &NewOperation,
        entry: Entry<'_>,
    ) -> Result<Option<Operation>> {
        let Some(org) = self.tenant(scope, env_id).await?.map(|tenant| tenant.org) else { return Ok(None) };
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                make_way(&mut tx, env_id, new).await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(None) };
                let sql = "SELECT status, name, protected FROM tenants WHERE env_id = $1 AND ($2 IS NULL OR org = $2)";
                let row: Option<(String, String, i64)> = tx.first(sql, values![env_id, scope]).await?;
                let Some((status, name, protected)) = row else { return Ok(None) };
                let status = At { table: "tenants", id: &env_id }.word("status", &status, TenantStatus::parse)?;
                match entry.verb {
                    _ if entry.from.is_empty() || entry.from.contains(&status) => {}
                    Some(verb) => return Err(Conflict::NotInThisState { verb, status }.into()),
                    None => return Ok(None),
                }
                match entry.confirm {
                    Some(confirm) if confirm != name => {
                        return Err(Conflict::NamedOtherwise { name: name::stored(env_id.0, &name)? }.into());
                    }
                    None if protected != 0 && entry.verb == Some(Verb::Destroy) => {
                        return Err(Conflict::Protected { name: name::stored(env_id.0, &name)? }.into());
                    }
                    _ => {}
                }
                let subject = Subject::tenant(env_id);
                // Asked for before anything is written, so that this never waits for a worker that is
                // finishing and wants the turn taken above.
                refuse_busy(&mut tx, &subject).await?;
                if let Some(to) = entry.to {
                    let desired = if to == TenantStatus::Destroying { "absent" } else { "running" };
                    let sql = "UPDATE tenants SET status = $2, desired = $3, generation = generation + 1, \
                         failure = NULL, updated_at = $4 WHERE env_id = $1";
                    tx.execute(sql, values![env_id, to.as_str(), desired, new.now]).await?;
                }
                let operation = operation::insert(&mut tx, org, &subject, new).await?;
                let mut detail = serde_json::json!({ "operation": operation.id, "name": name });
                // What the operation's row tells only as long as it is kept.
                for key in ["reason", "volume"] {
                    let told = new.input.get(key).filter(|told| told.as_str().is_some_and(|told| !told.is_empty()));
                    if let (Some(detail), Some(told)) = (detail.as_object_mut(), told) {
                        detail.insert(key.to_owned(), told.clone());
                    }
                }
                let told =
                    audit::Entry { at: new.now, actor: &new.actor, action: entry.action, env_id: Some(env_id), detail };
                turn.record(&mut tx, told).await?;
                tx.commit().await?;
                Ok(Some(operation))
            })
            .await
    }

    /// Accepts an exclusive operation on the platform itself: operation and audit row, or none of them.
    ///
    /// # Errors
    /// [`Conflict::SubjectBusy`] while another one is under way; when the database does not answer.
    pub async fn begin_platform(&self, org: OrgId, new: &NewOperation, action: &'static str) -> Result<Operation> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let turn = audit::turn_of_existing(&mut tx, org).await?;
                let subject = Subject::platform();
                refuse_busy(&mut tx, &subject).await?;
                let operation = operation::insert(&mut tx, org, &subject, new).await?;
                let detail = serde_json::json!({ "operation": operation.id });
                let entry = audit::Entry { at: new.now, actor: &new.actor, action, env_id: None, detail };
                turn.record(&mut tx, entry).await?;
                tx.commit().await?;
                Ok(operation)
            })
            .await
    }

    /// Accepts an operation on what no tenant in the store has, under the number it carries in the engine. `None` when
    /// there is such a tenant after all, or something is being done about that number already. It is not exclusive: a tenant
    /// that gets the number while it is queued is spawned all the same.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_sweep(&self, org: OrgId, env_id: EnvId, new: &NewOperation) -> Result<Option<Operation>> {
        // Images carry no number: they are the platform's.
        let subject = &if env_id == EnvId(0) { Subject::platform() } else { Subject::tenant(env_id) };
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(None) };
                let sql = "SELECT (SELECT COUNT(*) FROM tenants WHERE env_id = $1) + (SELECT COUNT(*) FROM operations \
                     WHERE subject = $2 AND (exclusive = 1 OR kind = $3) AND state IN ('queued', 'running', 'waiting'))";
                let (known,): (i64,) = tx.one(sql, values![env_id, subject.as_str(), new.kind]).await?;
                if known > 0 {
                    return Ok(None);
                }
                let operation = operation::insert(&mut tx, org, subject, new).await?;
                let detail = serde_json::json!({ "operation": operation.id, "input": new.input });
                let (at, actor, env_id) = (new.now, new.actor.as_str(), subject.env_id());
                turn.record(&mut tx, audit::Entry { at, actor, action: "engine.sweep", env_id, detail }).await?;
                tx.commit().await?;
                Ok(Some(operation))
            })
            .await
    }

    /// Asks the server that works on an operation, or takes it next, to cancel it. Asking again changes nothing. `None` when
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
    /// [`Conflict::NotRetryable`]; [`Conflict::Overtaken`]; [`Conflict::SubjectBusy`]; when the database does not answer or the row cannot be
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
                turn.record(&mut tx, audit::Entry { at: now, actor, action, env_id: before.env_id(), detail }).await?;
                tx.commit().await?;
                self.operation(scope, id).await
            })
            .await
    }
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
    // What waits for its turn has done nothing, and nobody need take it to undo that.
    let waits = "SELECT COUNT(*) FROM operations WHERE id = $1 AND awaits = $2";
    let (waits,): (i64,) = tx.one(waits, values![before.id, deployment::TURN]).await?;
    let id = before.id.to_string();
    if waits > 0 && deployment::give_up(tx, &id, &deployment::cancelled(), "failed", now).await? {
        return Ok("operation.cancel");
    }
    // Waiting is over, too, whatever it is for: somebody takes it at once.
    let sql = "UPDATE operations SET cancel = 1, not_before = 0, wake_at = NULL, awaits = NULL, \
         state = CASE WHEN state = 'waiting' THEN 'queued' ELSE state END, updated_at = $2 WHERE id = $1";
    tx.execute(sql, values![before.id, now]).await?;
    Ok("operation.cancel")
}

async fn try_again(tx: &mut Tx, before: &Operation, patience: Duration, now: Timestamp) -> Result<&'static str> {
    let gone = match before.env_id() {
        // A sweep is about what no tenant has.
        Some(env_id) if before.kind != "sweep" => {
            let sql = "SELECT COUNT(*) FROM tenants WHERE env_id = $1";
            tx.one::<(i64,)>(sql, values![env_id]).await?.0 == 0
        }
        _ => false,
    };
    // A deployment that failed is undone, and so is a change of limits: there is nothing to continue.
    let is_undone = ["deploy", "scale"].contains(&before.kind.as_str()) && before.state == OperationState::Failed;
    if gone || is_undone || !matches!(before.state, OperationState::Stuck | OperationState::Failed) {
        return Err(Conflict::NotRetryable { operation: before.id, state: before.state.as_str() }.into());
    }
    refuse_busy(tx, &before.subject).await?;
    // A stop since must not be undone by the repair before it, nor a repair by the destroy before it.
    let newer = "SELECT COUNT(*) FROM operations WHERE subject = $1 AND exclusive = 1 AND state <> 'cancelled' \
         AND (created_at > $2 OR (created_at = $2 AND id > $3))";
    let values = values![before.subject.as_str(), before.created_at, before.id];
    if before.env_id().is_some() && tx.one::<(i64,)>(newer, values).await?.0 > 0 {
        return Err(Conflict::Overtaken { operation: before.id }.into());
    }
    let deadline = tx.clock().await?.saturating_add(micros(patience));
    let keeps_failure = i64::from(before.direction == Direction::Back);
    let sql = "UPDATE operations SET state = 'queued', cancel = 0, retries = 0, crashes = 0, not_before = 0, \
         failure = CASE WHEN $4 = 1 THEN failure END, deadline = $2, updated_at = $3 WHERE id = $1";
    tx.execute(sql, values![before.id, deadline, now, keeps_failure]).await?;
    Ok("operation.retry")
}

/// Cancels what yields and nobody works on. What somebody works on has to be stopped first: what its worker has asked of the
/// engine may happen after the next operation is done.
pub(crate) async fn make_way(tx: &mut Tx, env_id: EnvId, new: &NewOperation) -> Result<()> {
    if new.exclusive && !new.yields {
        let sql = "UPDATE operations SET state = 'cancelled', failure = $3, updated_at = $2 \
             WHERE subject = $1 AND yields = 1 AND state IN ('queued', 'waiting')";
        let why = to_json(&deployment::made_way(new.kind))?;
        tx.execute(sql, values![Subject::tenant(env_id).as_str(), new.now, why]).await?;
    }
    Ok(())
}

pub(crate) async fn refuse_busy(tx: &mut Tx, subject: &Subject) -> Result<()> {
    let sql =
        "SELECT id FROM operations WHERE subject = $1 AND exclusive = 1 AND state IN ('queued', 'running', 'waiting')";
    match tx.first::<(String,)>(sql, values![subject.as_str()]).await? {
        None => Ok(()),
        Some((active,)) => {
            let operation = At { table: "operations", id: &active }.parse("id", &active)?;
            Err(StoreError::from(Conflict::SubjectBusy { operation }))
        }
    }
}
