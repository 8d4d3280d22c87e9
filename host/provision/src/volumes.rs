//! The volumes of a tenant: those that its app mounts, those that earlier revisions left, and how much is in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use convergence_model::plan::Volume;
use convergence_model::tenant::Revision;
use convergence_model::{EnvId, Scope, TenantId};
use convergence_render::names;
use convergence_runtime::RuntimeError;
use convergence_store::{Store, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{LookError, Provisioner};

/// How long sizes are served: the engine walks the disk to measure them.
const FRESH: Duration = Duration::from_secs(5);

/// A volume of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeReport {
    /// As the template calls it. Of one that carries the tenant's labels under a name that is not made of them, the engine's name.
    pub name: String,
    /// Where the app finds it; none where it mounts it no longer.
    pub path: Option<String>,
    /// Its name in the engine.
    pub engine_name: String,
    /// Bytes in it, measured a few seconds ago at most; none where the engine does not tell.
    pub size: Option<u64>,
    /// Whether the current revision mounts it, or one that is not up yet. Otherwise an earlier revision left it, and it is kept
    /// because it holds data.
    pub in_use: bool,
}

/// What the app of a tenant mounts.
pub(crate) struct Mounts {
    /// By its current revision.
    current: Vec<Volume>,
    /// By revisions that are not up yet.
    pending: Vec<Volume>,
}

impl Mounts {
    pub(crate) async fn of(store: &Store, scope: &Scope, tenant: TenantId) -> Result<Self, StoreError> {
        let volumes = |revision: Revision| revision.plan.service.volumes;
        let current = store.current_revision(scope, tenant).await?.map(volumes).unwrap_or_default();
        let pending = store.pending_revisions(scope, tenant).await?.into_iter().flat_map(volumes).collect();
        Ok(Self { current, pending })
    }

    /// The names of all of them, as the template calls them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.current.iter().chain(&self.pending).map(|volume| volume.name.as_str())
    }
}

type Measured = BTreeMap<String, Option<u64>>;

/// How much is in the volumes of this installation, as it was measured last. Held while the engine is asked, so that of many
/// requests at the same time one asks.
#[derive(Debug, Default)]
pub(crate) struct Sizes(Mutex<Option<(Instant, Arc<Measured>)>>);

impl Provisioner {
    /// The volumes that a tenant's app mounts, in the order of its plan, and after them every other one in the engine that
    /// carries the tenant's labels; `None` where there is no tenant within reach.
    ///
    /// # Errors
    /// The store or the engine does not answer. An engine that does not tell sizes leaves them out.
    pub async fn volumes(&self, scope: &Scope, env_id: EnvId) -> Result<Option<Vec<VolumeReport>>, LookError> {
        let Some(tenant) = self.store.tenant(scope, env_id).await? else { return Ok(None) };
        let mounts = Mounts::of(&self.store, scope, tenant.id).await?;
        let current = mounts.current.iter().map(|volume| VolumeReport {
            name: volume.name.clone(),
            path: Some(volume.path.clone()),
            engine_name: self.volume_name(env_id, &volume.name),
            size: None,
            in_use: true,
        });
        let mut reports: Vec<VolumeReport> = current.collect();
        for engine_name in self.volumes_there(env_id).await? {
            if reports.iter().any(|report| report.engine_name == engine_name) {
                continue;
            }
            let mount = mounts.pending.iter().find(|volume| self.volume_name(env_id, &volume.name) == engine_name);
            let beginning = self.volume_name(env_id, "");
            let name = engine_name.strip_prefix(&beginning).filter(|name| !name.is_empty()).unwrap_or(&engine_name);
            reports.push(VolumeReport {
                name: name.to_owned(),
                path: mount.map(|volume| volume.path.clone()),
                size: None,
                in_use: mount.is_some(),
                engine_name,
            });
        }
        if !reports.is_empty() {
            let sizes = self.sizes().await;
            for report in &mut reports {
                report.size = sizes.get(&report.engine_name).copied().flatten();
            }
        }
        Ok(Some(reports))
    }

    /// The engine's names of all volumes that carry a tenant's labels.
    pub(crate) async fn volumes_there(&self, env_id: EnvId) -> Result<Vec<String>, RuntimeError> {
        let owned = self.runtime.owned(&self.settings.instance).await?;
        let theirs = owned.volumes.into_iter().filter(|item| item.owner().is_some_and(|owner| owner.tenant == env_id));
        Ok(theirs.map(|item| item.name).collect())
    }

    /// The engine's name of a volume that a template calls so.
    pub(crate) fn volume_name(&self, env_id: EnvId, volume: &str) -> String {
        names::volume(&self.settings.name_prefix, env_id, volume)
    }

    /// How much is in the volumes of this installation; nothing where the engine does not tell.
    async fn sizes(&self) -> Arc<Measured> {
        let mut last = self.sizes.0.lock().await;
        if let Some((_, sizes)) = last.as_ref().filter(|(taken, _)| taken.elapsed() < FRESH) {
            return Arc::clone(sizes);
        }
        let measured = self.runtime.volume_sizes(&self.settings.instance).await;
        // Kept as well: those who wait must not each wait for an engine that does not answer.
        let sizes = Arc::new(measured.unwrap_or_else(|error| {
            tracing::warn!(%error, "the sizes of volumes are not known");
            Measured::new()
        }));
        *last = Some((Instant::now(), Arc::clone(&sizes)));
        sizes
    }
}
