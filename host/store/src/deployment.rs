//! Deployments: a tenant's next revision, with the operation that brings it up. One is under way at a time; the newest of those
//! that came meanwhile waits for its turn.

use std::collections::BTreeSet;

use convergence_model::operation::{Failure, Operation, OperationState, Subject};
use convergence_model::tenant::TenantStatus;
use convergence_model::{Code, EnvId, Limits, OperationId, RevisionNumber, Scope, TenantSpec, Verb};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::let_go;
use crate::operation::{self, NewOperation};
use crate::outcome::{Effect, Ending};
use crate::revision::{self, Author, NewRevision};
use crate::secret::{self, NewSecret};
use crate::{Conflict, Lease, Result, Store, StoreError, audit, idempotency, lease, name, request, source, tenant};

/// What an operation awaits that waits for another one on its subject to end.
pub(crate) const TURN: &str = "turn";

/// Everything a deployment leaves in the database.
#[derive(Debug, Clone)]
pub struct NewDeployment {
    /// What the tenant should be.
    pub spec: TenantSpec,
    /// The revision to be.
    pub revision: NewRevision,
    /// The operation that will do the work, with who asks and when.
    pub operation: NewOperation,
    /// As the audit names the request.
    pub action: &'static str,
    /// What is asked for, to be told where the tenant is in a state that does not allow it.
    pub verb: Verb,
    /// Whether it waits while another operation on the tenant is under way, or is refused.
    pub waits: bool,
    /// Whether it may start a tenant that is stopped, or is being stopped.
    pub starts: bool,
    /// What it was planned from.
    pub base: Base,
    /// Versions of secrets that come with it.
    pub secrets: Vec<NewSecret>,
    /// Operations that may be unfinished, the new one included.
    pub backlog_max: u32,
}

/// What a change was planned from: nothing else may have been changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The newest revision.
    pub revision: RevisionNumber,
    /// How often the configuration was changed without a deployment.
    pub staged: u32,
}

/// What a deployment begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// The revision's number.
    pub revision: RevisionNumber,
    /// The operation: queued, or waiting while another one on the tenant is under way.
    pub operation: Operation,
}

/// A revision that makes room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Its number.
    pub number: RevisionNumber,
    /// The tag of its image.
    pub image_tag: String,
}

impl Store {
    /// Accepts a deployment: revision, operation and audit row, or none of them. `None` when there is no such tenant within
    /// reach.
    ///
    /// Deployments that nobody has begun are replaced. While another operation on the tenant is under way, it waits, if it may.
    ///
    /// # Errors
    /// [`Conflict::AlreadyBegun`] and [`Conflict::KeyReused`] of its idempotency key; [`Conflict::QueueFull`]; [`Conflict::SubjectBusy`] where it may
    /// not wait, or would start what is being stopped; [`Conflict::NoSource`]; [`Conflict::NewerRevision`] and [`Conflict::ChangedMeanwhile`] where it was planned from what is no longer there;
    /// [`Conflict::NotInThisState`] while the tenant is being destroyed; when the database does not answer or a row cannot be
    /// read.
    pub async fn begin_deployment(
        &self,
        scope: &Scope,
        env_id: EnvId,
        new: &NewDeployment,
    ) -> Result<Option<Deployment>> {
        let Some(found) = self.tenant(scope, env_id).await? else { return Ok(None) };
        let (org, tenant) = (found.org, found.id);
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let (subject, asked) = (Subject::tenant(env_id), &new.operation);
                request::make_way(&mut tx, env_id, asked).await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(None) };
                idempotency::refuse_begun(&mut tx, org, asked.idempotency.as_ref()).await?;
                tenant::refuse_full_queue(&mut tx, asked.lane, new.backlog_max).await?;
                let sql = "SELECT status, staged FROM tenants WHERE env_id = $1";
                let row: Option<(String, i64)> = tx.first(sql, values![env_id]).await?;
                let Some((status, staged)) = row else { return Ok(None) };
                let status = At { table: "tenants", id: &env_id }.word("status", &status, TenantStatus::parse)?;
                if !new.verb.from().contains(&status) {
                    return Err(Conflict::NotInThisState { verb: new.verb, status }.into());
                }
                source::refuse_unknown(&mut tx, org, &new.spec.source, asked.now).await?;
                let sql = "SELECT COALESCE(MAX(number), 0) FROM revisions WHERE tenant = $1";
                let (last,): (i64,) = tx.one(sql, values![tenant]).await?;
                if last != new.base.revision.0 {
                    return Err(Conflict::NewerRevision { number: RevisionNumber(last) }.into());
                }
                let is_stopped = status == TenantStatus::Stopped && !new.starts;
                if staged != i64::from(new.base.staged) || is_stopped {
                    return Err(Conflict::ChangedMeanwhile.into());
                }
                secret::insert(&mut tx, tenant, &new.secrets, &asked.actor, asked.now).await?;
                secret::refuse_missing(&mut tx, tenant, &new.spec).await?;
                let replaced = replace_waiting(&mut tx, &subject, asked.now).await?;
                let busy = match request::refuse_busy(&mut tx, &subject).await {
                    Ok(()) => false,
                    Err(StoreError::Conflict(Conflict::SubjectBusy { operation })) if new.waits => {
                        if !new.starts && is_a_stop(&mut tx, operation).await? {
                            return Err(Conflict::SubjectBusy { operation }.into());
                        }
                        true
                    }
                    Err(error) => return Err(error),
                };
                let number = RevisionNumber(last + 1);
                let author = Author { spec: &new.spec, operation: asked.id, actor: &asked.actor };
                revision::insert(&mut tx, tenant, number, &new.revision, author).await?;
                let mut operation = NewOperation { exclusive: asked.exclusive && !busy, ..asked.clone() };
                operation.input = completed(operation.input, number, serves(status));
                let mut operation = operation::insert(&mut tx, org, &subject, &operation).await?;
                if busy {
                    operation = operation::wait_for_turn(&mut tx, operation.id).await?;
                }
                let detail = serde_json::json!({
                    "operation": operation.id, "revision": number, "reason": new.revision.reason, "replaces": replaced,
                });
                let (at, actor) = (asked.now, asked.actor.as_str());
                let entry = audit::Entry { at, actor, action: new.action, env_id: Some(env_id), detail };
                turn.record(&mut tx, entry).await?;
                tx.commit().await?;
                Ok(Some(Deployment { revision: number, operation }))
            })
            .await
    }

    /// Lets operations that wait for their turn have it where nothing is under way on their subject any more. The end of the
    /// operation before them does so already; this is for what was ended otherwise. Answers how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_turns(&self, now: Timestamp) -> Result<u64> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "SELECT DISTINCT subject FROM operations o WHERE o.state = 'waiting' AND o.awaits = $1 \
                     AND NOT EXISTS (SELECT 1 FROM operations a WHERE a.subject = o.subject AND a.exclusive = 1 \
                     AND a.state IN ('queued', 'running', 'waiting'))";
                let subjects: Vec<(String,)> = tx.all(sql, values![TURN]).await?;
                let mut given = 0;
                for (subject,) in subjects {
                    given += give_turn(&mut tx, &Subject::stored(subject), now).await?;
                }
                tx.commit().await?;
                Ok(given)
            })
            .await
    }

    /// Marks the revisions of the operation's tenant retired that are to make room: those that ran and whose image is neither
    /// that of the operation's revision, nor of the current one, nor among the newest. `keep` images are kept in all. Those of
    /// the retired may be removed, unless others use the same.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; when the database does not answer.
    pub async fn retire_revisions(&self, lease: &Lease, keep: u32, now: Timestamp) -> Result<Vec<Retired>> {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let tenant = lease::hold(&mut tx, lease).await?.tenant(&mut tx).await?;
                let sql = "SELECT r.image_tag FROM revisions r JOIN tenants t ON t.id = r.tenant WHERE r.tenant = $1 \
                     AND r.image_tag IS NOT NULL AND (r.number = t.current_revision OR r.operation = $2)";
                let needed: Vec<(String,)> = tx.all(sql, values![tenant, lease.operation]).await?;
                let mut kept: BTreeSet<String> = needed.into_iter().map(|(tag,)| tag).collect();
                let sql = "SELECT number, image_tag, built FROM revisions WHERE tenant = $1 AND state = 'ready' \
                     AND image_tag IS NOT NULL ORDER BY number DESC";
                let rows: Vec<(i64, String, Option<String>)> = tx.all(sql, values![tenant]).await?;
                let mut retired = Vec::new();
                for (number, image_tag, built) in rows {
                    if kept.contains(&image_tag) {
                        continue;
                    }
                    if kept.len() < keep {
                        kept.insert(image_tag);
                        continue;
                    }
                    let_go::remember(&mut tx, &image_tag, built.as_deref(), now).await?;
                    let sql = "UPDATE revisions SET state = 'retired', image_tag = NULL, built = NULL, source = NULL \
                         WHERE tenant = $1 AND number = $2";
                    tx.execute(sql, values![tenant, number]).await?;
                    retired.push(Retired { number: RevisionNumber(number), image_tag });
                }
                tx.commit().await?;
                Ok(retired)
            })
            .await
    }
}

/// Whether an operation stops its tenant, which is to stay stopped.
async fn is_a_stop(tx: &mut Tx, operation: OperationId) -> Result<bool> {
    let (kind,): (String,) = tx.one("SELECT kind FROM operations WHERE id = $1", values![operation]).await?;
    Ok(kind == "stop")
}

/// Cancels deployments of a subject that were never begun: the one that comes replaces them. Answers their operations.
async fn replace_waiting(tx: &mut Tx, subject: &Subject, now: Timestamp) -> Result<Vec<String>> {
    let sql = "SELECT id FROM operations WHERE subject = $1 AND kind = 'deploy' AND lease_epoch = 0 \
         AND state IN ('queued', 'waiting')";
    let waiting: Vec<(String,)> = tx.all(sql, values![subject.as_str()]).await?;
    let mut replaced = Vec::new();
    for (id,) in waiting {
        if give_up(tx, &id, &replaced_by_newer(), "replaced", now).await? {
            replaced.push(id);
        }
    }
    Ok(replaced)
}

/// Cancels an operation that was never begun, for this reason; its revision is from then on what `state` says. False where
/// somebody has begun it.
pub(crate) async fn give_up(tx: &mut Tx, id: &str, why: &Failure, state: &str, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE operations SET state = 'cancelled', failure = $3, awaits = NULL, updated_at = $2 \
         WHERE id = $1 AND lease_epoch = 0 AND state IN ('queued', 'waiting')";
    if tx.execute(sql, values![id, now, to_json(why)?]).await? == 0 {
        return Ok(false);
    }
    let_revision_go(tx, id, state, now).await?;
    Ok(true)
}

/// The revision of an operation never ran: its image, which is removed or others have too, is let go, and so is its source.
async fn let_revision_go(tx: &mut Tx, operation: &str, state: &str, now: Timestamp) -> Result<()> {
    let sql = "SELECT image_tag, built FROM revisions WHERE operation = $1 AND state IN ('pending', 'failed') \
             AND image_tag IS NOT NULL";
    if let Some((tag, built)) = tx.first::<(String, Option<String>)>(sql, values![operation]).await? {
        let_go::remember(tx, &tag, built.as_deref(), now).await?;
    }
    let sql = "UPDATE revisions SET state = $2, image_tag = NULL, built = NULL, source = NULL \
         WHERE operation = $1 AND state IN ('pending', 'failed')";
    tx.execute(sql, values![operation, state]).await.map(drop)
}

/// What a deployment is told that never had its turn.
fn unbegun(message: &str, cause: &str, next: &str) -> Failure {
    Failure {
        step: "turn".to_owned(),
        code: Code::Cancelled.into(),
        message: message.to_owned(),
        likely_cause: cause.to_owned(),
        next: next.to_owned(),
        log: Vec::new(),
    }
}

fn replaced_by_newer() -> Failure {
    unbegun(
        "a newer deployment replaced this one before it started",
        "somebody deployed the tenant again",
        "look at the newer one (`convergence deployments`)",
    )
}

fn tenant_gone() -> Failure {
    unbegun(
        "the tenant was removed before this deployment started",
        "its spawn failed, or somebody destroyed it",
        "deploy to a new tenant",
    )
}

/// Another request came before an operation that gives way started.
pub(crate) fn made_way(kind: &str) -> Failure {
    let message = format!("a {kind} was asked for before this started");
    unbegun(
        &message,
        "two requests about the tenant came close together",
        "look at the tenant, and ask again if need be",
    )
}

/// Somebody cancelled it.
pub(crate) fn cancelled() -> Failure {
    unbegun(
        "the deployment was cancelled before it started",
        "somebody cancelled it",
        "deploy again if you still want it",
    )
}

/// Whether there is a revision that is to go on serving where the next one does not come up.
fn serves(status: TenantStatus) -> bool {
    // One that is being made will run by then.
    matches!(status, TenantStatus::Running | TenantStatus::Provisioning)
}

/// Queues what waits for its turn on a subject, or cancels it where the subject is gone. Where something else is under way
/// there, it waits on.
pub(crate) async fn give_turn(tx: &mut Tx, subject: &Subject, now: Timestamp) -> Result<u64> {
    let sql = "SELECT id FROM operations o WHERE subject = $1 AND state = 'waiting' AND awaits = $2 \
         AND NOT EXISTS (SELECT 1 FROM operations a WHERE a.subject = o.subject AND a.exclusive = 1 \
         AND a.state IN ('queued', 'running', 'waiting')) ORDER BY created_at, id LIMIT 1";
    let Some((id,)) = tx.first::<(String,)>(sql, values![subject.as_str(), TURN]).await? else { return Ok(0) };
    let sql = "SELECT status FROM tenants WHERE 'tenant/' || env_id = $1 AND status <> 'destroying'";
    let Some((status,)) = tx.first::<(String,)>(sql, values![subject.as_str()]).await? else {
        return Ok(u64::from(give_up(tx, &id, &tenant_gone(), "failed", now).await?));
    };
    let status = At { table: "tenants", id: &subject.as_str() }.word("status", &status, TenantStatus::parse)?;
    look_again(tx, &id, status).await?;
    let clock = tx.clock().await?;
    let sql = "UPDATE operations SET exclusive = 1, awaits = NULL, deadline = $2 + patience, updated_at = $3, \
         state = 'queued' WHERE id = $1 AND state = 'waiting'";
    tx.execute(sql, values![id, clock, now]).await
}

/// What was under way before may have stopped the tenant: whether one serves is decided when a deployment has its turn.
async fn look_again(tx: &mut Tx, operation: &str, status: TenantStatus) -> Result<()> {
    let (input,): (String,) = tx.one("SELECT input FROM operations WHERE id = $1", values![operation]).await?;
    let mut input: serde_json::Value = At { table: "operations", id: &operation }.json("input", &input)?;
    if let Some(input) = input.as_object_mut() {
        input.insert("serves".to_owned(), serves(status).into());
    }
    let sql = "UPDATE operations SET input = $2 WHERE id = $1";
    tx.execute(sql, values![operation, to_json(&input)?]).await.map(drop)
}

/// What became of the revision that an operation was to bring up, if it was to bring one up; and the tenant from then on. Of
/// one that is stuck, whose image may still be needed, it is only known that it does not run.
pub(crate) async fn settle(
    tx: &mut Tx,
    env_id: EnvId,
    operation: OperationId,
    ending: &Ending,
    now: Timestamp,
) -> Result<()> {
    if ending.effect != Effect::TenantRuns {
        if ending.state == OperationState::Stuck {
            let sql = "UPDATE revisions SET state = 'failed' WHERE operation = $1 AND state = 'pending'";
            return tx.execute(sql, values![operation]).await.map(drop);
        }
        return let_revision_go(tx, &operation.to_string(), "failed", now).await;
    }
    let sql = "UPDATE revisions SET state = 'ready' WHERE operation = $1 RETURNING number, spec, limits";
    let row: Option<(i64, String, String)> = tx.first(sql, values![operation]).await?;
    let Some((number, spec, limits)) = row else { return Ok(()) };
    let id = format!("{env_id}/{number}");
    let (limits, spec): (Limits, TenantSpec) = {
        let at = At { table: "revisions", id: &id };
        (at.json("limits", &limits)?, at.json("spec", &spec)?)
    };
    // It may have got another name since the revision was accepted.
    let (name,): (String,) = tx.one("SELECT name FROM tenants WHERE env_id = $1", values![env_id]).await?;
    let spec = TenantSpec { name: name::stored(env_id.0, &name)?, ..spec };
    let spec = to_json(&spec)?;
    let sql = "UPDATE tenants SET current_revision = $2, spec = $3, cpu_millis = $4, memory_mb = $5, disk_mb = $6, \
         replicas = $7 WHERE env_id = $1";
    let values = values![env_id, number, spec, limits.cpu_millis, limits.memory_mb, limits.disk_mb, limits.replicas];
    tx.execute(sql, values).await.map(drop)
}

/// The input of an operation that brings up a revision: which one, and whether one before it serves.
fn completed(mut input: serde_json::Value, number: RevisionNumber, serves: bool) -> serde_json::Value {
    if let Some(input) = input.as_object_mut() {
        input.insert("revision".to_owned(), number.0.into());
        input.insert("serves".to_owned(), serves.into());
    }
    input
}
