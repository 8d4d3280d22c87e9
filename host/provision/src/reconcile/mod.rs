//! Keeping what is there as it is wanted. Takes no input, and only asks for operations, so there is one way anything
//! happens.
//!
//! Everything is looked at when a server starts and at an interval from then on; a tenant is looked at when the engine
//! tells that something happened to its container. Of the servers that share a database one does this at a time.

pub(crate) mod ends;
mod look;
mod plan;
pub(crate) mod proof;
pub(crate) mod strays;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use convergence_model::operation::{Leftover, SweepInput, UpkeepInput};
use convergence_model::{EnvId, Scope, SourceDigest};
use convergence_runtime::{ChangeStream, Changed, LogQuery, RuntimeError};
use convergence_store::{Conflict, PLATFORM, PLATFORM_ORG, StoreError};
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use plan::ReconcileSettings;
pub use proof::{Held, OrderError, leftovers};

use convergence_work::RequestError;

use crate::request::asked;
use crate::{Provisioner, halt, repair, stop, sweep};
use plan::Action;

/// The duty of the server that reconciles.
const DUTY: &str = "reconcile";
/// Until the next look, where one failed or nothing could be done yet.
const SOON: Duration = Duration::from_secs(1);
/// Changes that come close together are looked at together.
const TOGETHER: Duration = Duration::from_millis(200);

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Memory {
    /// Since when something is there that belongs to nobody.
    strays: BTreeMap<(Option<EnvId>, Leftover), Instant>,
    /// Since when the health check of a tenant's app fails.
    failing: BTreeMap<EnvId, Instant>,
}

/// Something in the engine that belongs to nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Whose it says it is; none of an image.
    pub tenant: Option<EnvId>,
    /// What it is.
    pub what: Leftover,
    /// How long it has been seen.
    pub seen_for: Duration,
    /// Why it stays until an operator orders its removal; it is removed after the grace period where nothing holds it.
    pub held: Option<Held>,
}

/// Why a look was not finished. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The engine does not answer.
    #[error(transparent)]
    Engine(#[from] RuntimeError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Provisioner {
    /// Reconciles until `stop` is cancelled.
    pub async fn reconcile(self: Arc<Self>, stop: CancellationToken) {
        let interval = self.settings.reconcile.interval;
        let mut memory = Memory::default();
        let mut changes: Option<ChangeStream> = None;
        let mut whom: Option<BTreeSet<EnvId>> = None;
        let mut scan = Instant::now();
        let mut failing = false;
        while !stop.is_cancelled() {
            // Listened to before looking, so that nothing happens in between unnoticed.
            if changes.is_none() {
                changes = self.runtime.changes(&self.settings.instance).await.ok();
                whom = None;
            }
            // However much is told of single tenants, everything is looked at when its time has come.
            if Instant::now() >= scan {
                whom = None;
            }
            if whom.is_none() {
                scan = Instant::now() + interval;
            }
            let mut again = BTreeSet::new();
            match self.look_and_act(&mut memory, whom.take()).await {
                Ok(unsettled) => (again, failing) = (unsettled, false),
                Err(error) => {
                    // Once, not once a second for as long as an engine is away.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot look at everything; trying again until it works");
                    }
                    scan = scan.min(Instant::now() + SOON);
                }
            }
            let soon = !again.is_empty() || changes.is_none();
            // Every tenant that is heard of is in here, also where something else comes before the last of those who are.
            let mut heard = again;
            let knows = tokio::select! {
                () = stop.cancelled() => true,
                () = tokio::time::sleep_until(scan) => true,
                () = tokio::time::sleep(SOON), if soon => true,
                knows = self.next(&mut changes, &mut heard) => knows,
            };
            whom = knows.then_some(heard);
        }
    }

    /// What belongs to nobody, as it was last seen by this server.
    pub fn strays(&self) -> Vec<Stray> {
        self.strays.list()
    }

    /// Looks at these tenants, or at everything, and asks for what should be done. Answers the tenants about which
    /// nothing could be done yet.
    async fn look_and_act(
        &self,
        memory: &mut Memory,
        whom: Option<BTreeSet<EnvId>>,
    ) -> Result<BTreeSet<EnvId>, LookError> {
        let settings = self.settings.reconcile;
        // Kept for longer than it is between two looks: it moves only when this server is gone.
        if !self.store.take_duty(DUTY, &self.operations.settings().worker, settings.interval * 3).await? {
            return Ok(BTreeSet::new());
        }
        if whom.is_none() {
            let now = self.clock.now();
            let pruned = self.store.prune(now.saturating_sub(settings.keep).unwrap_or(now)).await?;
            if pruned > 0 {
                tracing::info!(pruned, "forgot operations that were over long ago");
            }
            self.store.give_turns(now).await?;
            self.forget_sources(now.saturating_sub(self.settings.sources_keep).unwrap_or(now)).await?;
        }
        let (desired, observed, standings) = self.look(memory, whom.as_ref()).await?;
        for action in plan::plan(&desired, &observed, &settings) {
            match self.ask_for(&action, &standings).await {
                Ok(()) | Err(RequestError::Absent | RequestError::Stopping) => {}
                Err(RequestError::Store(StoreError::Conflict(Conflict::SubjectBusy { .. }))) => {}
                Err(RequestError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(plan::unsettled(&desired, &observed, whom.as_ref()))
    }

    /// Removes what was uploaded before a moment and is not needed; also what no organization has, because a server ended
    /// between receiving it and saying so.
    async fn forget_sources(&self, before: Timestamp) -> Result<(), LookError> {
        let mut unneeded: BTreeSet<SourceDigest> = self.store.forget_sources(before).await?.into_iter().collect();
        match self.sources.kept_since(self.settings.sources_keep).await {
            Ok(old) => unneeded.extend(old),
            Err(error) => tracing::warn!(%error, "cannot read the folder of sources"),
        }
        for digest in unneeded {
            // It may have been uploaded again since.
            if self.store.is_source_known(&digest).await? {
                continue;
            }
            match self.sources.remove(&digest).await {
                Ok(()) => tracing::info!(%digest, "removed a source that nothing is built from"),
                Err(error) => tracing::warn!(%digest, %error, "cannot remove a source that nothing is built from"),
            }
        }
        Ok(())
    }

    async fn ask_for(&self, action: &Action, standings: &look::Standings) -> Result<(), RequestError> {
        let scope = Scope::platform();
        match action {
            Action::Repair { tenant, reason, crash, restart } => {
                tracing::warn!(tenant = tenant.0, reason, "repairing");
                let input = UpkeepInput { reason: reason.clone(), failure: None, restart: *restart };
                self.request(&scope, *tenant, &repair::KIND, &input, PLATFORM, repair::FOUND).await?;
                if let (Some(pause), Some(standing)) = (crash, standings.get(tenant)) {
                    self.store.count_crash(standing.tenant, *pause).await?;
                }
            }
            Action::Halt { tenant, reason, code } => {
                tracing::error!(tenant = tenant.0, reason, "stopping a tenant that does not stay up");
                let failure = Some(halt::why(*code, reason, self.last_lines(*tenant).await));
                let input = UpkeepInput { reason: reason.clone(), failure, restart: false };
                self.request(&scope, *tenant, &halt::KIND, &input, PLATFORM, halt::FOUND).await?;
            }
            Action::Stop { tenant } => {
                tracing::warn!(tenant = tenant.0, "stopping a tenant that was stopped and runs all the same");
                let input = UpkeepInput { reason: "it was started from outside".to_owned(), ..UpkeepInput::default() };
                self.request(&scope, *tenant, &stop::KIND, &input, PLATFORM, stop::FOUND).await?;
            }
            Action::Forgive { tenant } => {
                if let Some(standing) = standings.get(tenant) {
                    self.store.forgive_crashes(standing.tenant).await?;
                }
            }
            Action::Sweep { tenant, leftovers } => {
                let names = leftovers.iter().map(|leftover| leftover.name.as_str()).collect::<Vec<_>>().join(", ");
                tracing::warn!(tenant = tenant.0, names, "removing what belongs to nobody");
                let input = asked(&SweepInput { leftovers: leftovers.clone(), ordered: false });
                let new = self.operations.new_operation(&sweep::KIND, input, PLATFORM);
                self.store.begin_sweep(PLATFORM_ORG, *tenant, &new).await?;
                self.operations.queued(sweep::KIND.lane);
            }
        }
        Ok(())
    }

    /// The last lines an app printed, told with why it is stopped.
    async fn last_lines(&self, tenant: EnvId) -> Vec<String> {
        let name = convergence_render::names::container(&self.settings.name_prefix, tenant);
        let query = LogQuery { tail: Some(halt::LINES_MAX), ..LogQuery::default() };
        let lines = self.runtime.logs(&name, &query).await.unwrap_or_default();
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Hears of the tenants that something happened to, once something does; false when that is not known any more.
    async fn next(&self, changes: &mut Option<ChangeStream>, heard: &mut BTreeSet<EnvId>) -> bool {
        let Some(stream) = changes else { return std::future::pending().await };
        let mut hear = |changed: Changed| {
            self.ends.hear(&changed, self.clock.now());
            self.live.outdate(changed.tenant);
            heard.insert(changed.tenant);
        };
        match stream.next().await {
            Some(Ok(changed)) => hear(changed),
            ended => {
                if let Some(Err(error)) = ended {
                    tracing::warn!(%error, "the engine tells no more of what happens; looking at everything");
                }
                *changes = None;
                // An engine that restarts says so again and again.
                tokio::time::sleep(SOON).await;
                return false;
            }
        }
        let until = Instant::now() + TOGETHER;
        while let Ok(Some(Ok(changed))) = tokio::time::timeout_at(until, stream.next()).await {
            hear(changed);
        }
        true
    }
}
