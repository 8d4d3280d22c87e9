//! Accepting a deployment, and the steps that carry it out: a tenant's next revision, while the one before serves.

use convergence_access::Caller;
use convergence_model::build::Declared;
use convergence_model::operation::{Lane, Operation};
use convergence_model::plan::BuildPlan;
use convergence_model::policy::PlanSummary;
use convergence_model::tenant::{Revision, RevisionState, Tenant};
use convergence_model::{EnvId, Limits, OrgId, RevisionNumber, Scope, Source, TenantSpec, Verb};
use convergence_store::{
    Base, Conflict, Deployment, Idempotency, NewDeployment, NewOperation, NewRevision, NewSecret, StoreError,
};
use convergence_work::{Effect, Failing, Kind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Provisioner;
use crate::keys::RingError;
use crate::planning::{PlanError, Planned, passed};
use crate::recipe::{Leaves, Recipe};
use crate::request::{AcceptError, asked};
use crate::step::{
    Kept,
    candidate::{Candidate, Trial},
    image::Image,
    network::Network,
    others::Others,
    probe::Probe,
    replace::Replace,
    retire::Retire,
    start::Start,
    volumes::Volumes,
};

/// How often a change is planned that others overtake.
const ATTEMPTS: u32 = 5;

/// Build a tenant's next revision and bring it up. One that does not come up is undone, and the one before serves on.
pub static KIND: Kind = Kind {
    name: "deploy",
    lane: Lane::Engine,
    exclusive: true,
    yields: false,
    cancellable: true,
    checkpoint: 0,
    failing: Failing::Undo(Effect::None),
    stuck: Effect::TenantFailed,
    asked_action: "tenant.deploy",
    done_action: "tenant.deployed",
    failed_action: "tenant.deploy-failed",
};

pub(crate) static RECIPE: Recipe = Recipe {
    kind: &KIND,
    steps: &[&Image, &Others, &Kept(&Network), &Kept(&Volumes), &Candidate, &Trial, &Replace, &Start, &Probe, &Retire],
    leaves: Leaves::Revision,
};

/// How a revision comes up.
#[derive(Debug)]
pub(crate) struct Manner {
    /// By which kind of operation.
    pub(crate) kind: &'static Kind,
    /// What is asked for, to be told where the tenant is in a state that does not allow it.
    pub(crate) verb: Verb,
    /// What the audit calls the request.
    pub(crate) action: &'static str,
    /// Whether it waits while something else is under way on the tenant.
    pub(crate) waits: bool,
    /// Whether it may start a tenant that is stopped.
    pub(crate) starts: bool,
}

const DEPLOY: Manner = Manner { kind: &KIND, verb: Verb::Deploy, action: KIND.asked_action, waits: true, starts: true };
/// One that restores an earlier revision.
const ROLLBACK: Manner = Manner { action: "tenant.rollback", ..DEPLOY };
/// One that changes variables alone.
pub(crate) const CONFIGURE: Manner = Manner { action: "tenant.configure", starts: false, ..DEPLOY };

/// What a deployment is asked. The store adds both when it is accepted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DeployInput {
    /// Which revision it brings up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<RevisionNumber>,
    /// Whether the revision before serves, and is to serve on where this one does not come up.
    #[serde(default)]
    pub(crate) serves: bool,
}

/// What a deployment changes: a tenant's spec as of its newest revision that runs or may come to run.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// That spec.
    pub spec: TenantSpec,
    /// What it was read from.
    pub base: Base,
    /// Versions of secrets that come with it.
    pub secrets: Vec<NewSecret>,
    /// Whether the source is looked at anew: it was sent, or is that of a revision that is not up yet.
    pub fresh_source: bool,
}

/// Why a deployment was not accepted. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// There is no such tenant within reach, or it is being destroyed.
    #[error("there is no tenant {0}")]
    NoTenant(EnvId),
    /// There is no such revision.
    #[error("the tenant has no revision {0}")]
    NoRevision(RevisionNumber),
    /// The revision cannot be run again.
    #[error("revision {number} cannot be restored: {why}")]
    Unusable {
        /// Which one.
        number: RevisionNumber,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// A secret cannot be sealed: the key ring cannot be used.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// It cannot be planned, or is not accepted now.
    #[error(transparent)]
    Accept(#[from] AcceptError),
}

impl DeployError {
    /// Whether others changed meanwhile what this was planned from, so that it is worth planning it anew.
    pub fn is_overtaken(&self) -> bool {
        matches!(
            self,
            Self::Accept(AcceptError::Store(StoreError::Conflict(
                Conflict::NewerRevision { .. } | Conflict::ChangedMeanwhile
            )))
        )
    }
}

/// Tries a change anew, some times, for as long as others change meanwhile what it was planned from.
pub(crate) async fn unless_overtaken<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, DeployError>
where
    F: Future<Output = Result<T, DeployError>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.is_overtaken() => {}
            done => return done,
        }
    }
    attempt().await
}

impl From<PlanError> for DeployError {
    fn from(error: PlanError) -> Self {
        Self::Accept(error.into())
    }
}

impl From<StoreError> for DeployError {
    fn from(error: StoreError) -> Self {
        Self::Accept(error.into())
    }
}

/// A plan of a revision there is, as policies are told it, with what the image was found to say where the plan leaves that to it.
fn summary(plan: &BuildPlan, declared: Option<&Declared>) -> PlanSummary {
    let (command, port) = convergence_render::run(&plan.service, declared);
    PlanSummary { command, port, ..PlanSummary::from(plan) }
}

impl Provisioner {
    /// Asks policies about another spec for the plan of a revision there is. Answers when, and the limits that they leave it.
    pub(crate) async fn review_again(
        &self,
        scope: &Scope,
        caller: &Caller,
        org: OrgId,
        spec: &TenantSpec,
        action: &str,
        revision: &Revision,
    ) -> Result<(Timestamp, Limits), PlanError> {
        let mut review = self.review(scope, caller, org, spec, action).await?;
        let declared = revision.built.as_ref().and_then(|built| built.declared.as_ref());
        review.plan = Some(summary(&revision.plan, declared));
        review.limits = revision.limits;
        let at = review.at;
        let reviewed = passed(self.catalogue.snapshot().review(review).await?, Vec::new())?;
        Ok((at, revision.limits.tightened_by(reviewed.limits)))
    }
}

/// A revision of the very same image as one that there is.
pub(crate) fn again(
    revision: Revision,
    accepted_at: Timestamp,
    limits: Limits,
    reason: String,
    restores: Option<RevisionNumber>,
) -> NewRevision {
    let Revision { plan, plugins, built, .. } = revision;
    NewRevision { accepted_at, plan, plugins, limits, reason, restores, built, container: None }
}

/// A deployment that was accepted.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// What to wait for.
    pub operation: Operation,
    /// The revision it brings up.
    pub revision: RevisionNumber,
    /// Whether this is the operation that an earlier request with the same idempotency key began.
    pub replayed: bool,
}

impl Provisioner {
    /// What a deployment of a tenant changes; none where there is no tenant within reach.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn wanted(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Wanted>, StoreError> {
        let Some(Tenant { id, .. }) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        let newest = self.store.revisions(scope, id, None, 1).await?.pop();
        let revision = newest.as_ref().map_or(RevisionNumber(0), |revision| revision.number);
        // Not always the newest: that one may have been cancelled while it waited.
        let pending = self.store.pending_revisions(scope, id).await?.pop();
        // Read last: of a revision that came up meanwhile, the tenant has the spec by now.
        let Some(tenant) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        let base = Base { revision, staged: tenant.staged };
        let fresh_source = pending.is_some();
        let name = tenant.spec.name.clone();
        let spec = pending.map_or(tenant.spec, |revision| revision.spec);
        Ok(Some(Wanted { spec: TenantSpec { name, ..spec }, base, secrets: Vec::new(), fresh_source }))
    }

    /// Plans a tenant's next revision, which `wanted` says with everything that is to be different, and accepts it. The work
    /// itself begins elsewhere: at once, or when what is under way on the tenant has ended.
    ///
    /// # Errors
    /// [`DeployError`]; nothing was changed. [`DeployError::is_overtaken`] where another one came since the spec was read.
    pub async fn deploy(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        wanted: Wanted,
        reason: String,
        idempotency: Option<Idempotency>,
    ) -> Result<Deployed, DeployError> {
        let Wanted { spec, base, secrets, fresh_source } = wanted;
        let tenant = self.store.tenant(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?;
        if let Some(deployed) = self.deployed_with(scope, &tenant, idempotency.as_ref()).await? {
            return Ok(deployed);
        }
        let planned = Box::pin(self.plan(scope, caller, tenant.org, spec.clone(), "deploy")).await?;
        let wanted = Wanted { spec, base, secrets, fresh_source };
        self.accept_planned(scope, caller, &tenant, wanted, planned, reason, &DEPLOY, idempotency).await
    }

    /// Accepts a revision that was planned for this spec.
    #[expect(clippy::too_many_arguments, reason = "each is another part of what is accepted")]
    pub(crate) async fn accept_planned(
        &self,
        scope: &Scope,
        caller: &Caller,
        tenant: &Tenant,
        wanted: Wanted,
        planned: Planned,
        reason: String,
        manner: &Manner,
        idempotency: Option<Idempotency>,
    ) -> Result<Deployed, DeployError> {
        let Wanted { spec, base, secrets, fresh_source } = wanted;
        // What an image is called may lead to another one by now; where nobody asks for it anew, it stays the same.
        let same_image = !fresh_source && matches!(spec.source, Source::Image(_));
        let current = if same_image { self.store.current_revision(scope, tenant.id).await? } else { None };
        let built = current.filter(|current| current.spec.source == spec.source).and_then(|current| current.built);
        let revision = NewRevision {
            accepted_at: planned.at,
            plan: planned.plan.into_plan(),
            plugins: planned.plugins,
            limits: planned.limits,
            reason,
            restores: None,
            built,
            container: None,
        };
        let wanted = Wanted { spec: planned.spec, base, secrets, fresh_source };
        self.accept(scope, caller, tenant, wanted, revision, manner, idempotency).await
    }

    /// Accepts a deployment that restores an earlier revision: its image, limits and variables, as they were. No template is
    /// asked; policies may refuse it.
    ///
    /// # Errors
    /// [`DeployError`]; nothing was changed.
    pub async fn rollback(
        &self,
        scope: &Scope,
        caller: &Caller,
        env_id: EnvId,
        number: RevisionNumber,
        reason: String,
        idempotency: Option<Idempotency>,
    ) -> Result<Deployed, DeployError> {
        let tenant = self.store.tenant(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?;
        if let Some(deployed) = self.deployed_with(scope, &tenant, idempotency.as_ref()).await? {
            return Ok(deployed);
        }
        let base = self.wanted(scope, env_id).await?.ok_or(DeployError::NoTenant(env_id))?.base;
        let found = self.store.revision(scope, tenant.id, number).await?.ok_or(DeployError::NoRevision(number))?;
        // It may have had another name then.
        let spec = TenantSpec { name: tenant.spec.name.clone(), ..found.spec.clone() };
        let unusable = |why| DeployError::Unusable { number, why };
        if found.built.is_none() || found.state != RevisionState::Ready {
            return Err(unusable(match found.state {
                RevisionState::Retired => "its image was removed to make room; deploy its source again",
                RevisionState::Pending => "it is not up yet; wait until it is",
                RevisionState::Ready | RevisionState::Failed | RevisionState::Replaced => {
                    "it never ran; choose one that did"
                }
            }));
        }
        if tenant.current_revision == Some(number) {
            return Err(unusable("it is the one that runs; to start it anew, repair the tenant"));
        }
        let (at, limits) = self.review_again(scope, caller, tenant.org, &spec, "rollback", &found).await?;
        let revision = again(found, at, limits, reason, Some(number));
        let wanted = Wanted { spec, base, secrets: Vec::new(), fresh_source: false };
        self.accept(scope, caller, &tenant, wanted, revision, &ROLLBACK, idempotency).await
    }

    #[expect(clippy::too_many_arguments, reason = "each is another part of what is accepted")]
    pub(crate) async fn accept(
        &self,
        scope: &Scope,
        caller: &Caller,
        tenant: &Tenant,
        wanted: Wanted,
        revision: NewRevision,
        manner: &Manner,
        idempotency: Option<Idempotency>,
    ) -> Result<Deployed, DeployError> {
        if self.operations.is_stopping() {
            return Err(AcceptError::Stopping.into());
        }
        self.runtime.ping().await.map_err(AcceptError::Engine)?;
        let operation = self.operations.new_operation(manner.kind, asked(&DeployInput::default()), caller.name());
        let new = NewDeployment {
            spec: wanted.spec,
            base: wanted.base,
            secrets: wanted.secrets,
            revision,
            operation: NewOperation { idempotency, ..operation },
            action: manner.action,
            verb: manner.verb,
            waits: manner.waits,
            starts: manner.starts,
            backlog_max: self.operations.settings().backlog_max,
        };
        match self.store.begin_deployment(scope, tenant.env_id, &new).await {
            Ok(None) => Err(DeployError::NoTenant(tenant.env_id)),
            Ok(Some(Deployment { revision, operation })) => {
                self.operations.queued(manner.kind.lane);
                Ok(Deployed { operation, revision, replayed: false })
            }
            // The same request came twice at the same moment, and the other one was faster.
            Err(StoreError::Conflict(refused @ Conflict::AlreadyBegun { .. })) => {
                let begun = self.deployed_with(scope, tenant, new.operation.idempotency.as_ref()).await?;
                begun.ok_or_else(|| StoreError::from(refused).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn deployed_with(
        &self,
        scope: &Scope,
        tenant: &Tenant,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Deployed>, StoreError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let Some(operation) = self.store.begun_with(scope, tenant.org, idempotency).await? else { return Ok(None) };
        let input: DeployInput = operation.asked().unwrap_or_default();
        Ok(input.revision.map(|revision| Deployed { operation, revision, replayed: true }))
    }
}
