//! The catalogue: what is installed, and what of it is in use right now.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use convergence_model::ids::Clock;
use convergence_sandbox::Sandbox;
use convergence_store::StoreError;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::loading::Loading;
use crate::oci::RegistrySettings;
use crate::registry::{FileEntry, Registry};
use crate::shelf::Shelf;
use crate::snapshot::Snapshot;
use crate::trust::TrustPolicy;
use crate::workbench::Workbench;

/// How often the database is asked whether another server changed something.
const SYNC: Duration = Duration::from_secs(1);

/// What the operator decides about plugins.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that components are dropped into.
    pub folder: PathBuf,
    /// Names this server's folder among those of several servers on one database. The same at every start.
    pub server: String,
    /// JSON by plugin id; a plugin without gets `{}`. What an administrator sets by the API wins.
    pub configuration: BTreeMap<String, Value>,
    /// Whose components are let in.
    pub trust: Arc<TrustPolicy>,
    /// What the operator says about registries.
    pub registries: RegistrySettings,
    /// Told what is being compiled.
    pub loading: Loading,
}

impl Settings {
    /// Those of a server whose operator has decided nothing but where its folder is: no configuration, no keys, no registries.
    #[must_use]
    pub fn of(folder: PathBuf, server: &str) -> Self {
        Self {
            folder,
            server: server.to_owned(),
            configuration: BTreeMap::new(),
            trust: Arc::default(),
            registries: RegistrySettings::default(),
            loading: Loading::default(),
        }
    }
}

/// The installed plugins. Share it in an `Arc`.
pub struct Catalogue {
    folder: PathBuf,
    pub(crate) sandbox: Sandbox,
    pub(crate) trust: Arc<TrustPolicy>,
    pub(crate) registries: RegistrySettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) loading: Loading,
    pub(crate) work: Mutex<Workbench>,
    /// Held only to copy or replace the pointer: a call in flight keeps the registry it began with.
    current: RwLock<Arc<Registry>>,
}

impl Catalogue {
    /// Loads what is installed, and installs what lies in the folder and in the folders in it (`*.wasm`). What is wrong
    /// with a plugin never keeps this from succeeding: it is in [`Self::problems`] and [`Self::files`].
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn open(
        shelf: Shelf,
        sandbox: Sandbox,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        let (folder, trust) = (settings.folder.clone(), Arc::clone(&settings.trust));
        let (registries, loading) = (settings.registries.clone(), settings.loading.clone());
        if let Err(error) = trust.refresh() {
            tracing::error!(%error, "nothing is installed until the revocation list is fixed");
        }
        let mut work = Workbench::new(shelf, sandbox.clone(), settings);
        work.refresh().await?;
        let current = RwLock::new(Arc::new(work.registry(&work.inventory)));
        let catalogue = Self { folder, sandbox, trust, registries, clock, loading, work: Mutex::new(work), current };
        catalogue.look_at_once().await;
        for decision in catalogue.decisions() {
            tracing::warn!(target: "plugin", "{decision}");
        }
        for problem in catalogue.problems() {
            tracing::warn!(target: "plugin", "{problem}");
        }
        Ok(catalogue)
    }

    /// Follows the folder, and what other servers change, until it is told to stop.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut synced = Instant::now();
        loop {
            let pace = self.look().await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pace) => {}
            }
            if synced.elapsed() >= SYNC {
                synced = Instant::now();
                self.revoke().await;
                if let Err(error) = self.sync().await {
                    tracing::warn!(%error, "cannot see whether other servers changed plugins; what is in use stays in use");
                }
            }
        }
    }

    /// What is in use at this moment. One piece of work takes one snapshot and sees the same plugins throughout.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.current(), self.folder.clone())
    }

    /// The plugins folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes of the largest component that is looked at.
    #[must_use]
    pub fn max_component_bytes(&self) -> usize {
        self.sandbox.max_component_bytes()
    }

    /// What is wrong, for the operator: the folder, rejected files, plugins that cannot be used, configuration without
    /// a plugin. Empty when everything that was found is in use.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let registry = self.current();
        let mut problems = registry.problems.clone();
        problems.extend(self.trust.problem().map(|error| error.to_string()));
        if registry.templates.is_empty() {
            problems.push(format!("no language template is active; put components into {}", self.folder.display()));
        }
        problems
    }

    /// What administrators decided that keeps a plugin, or the highest version of one, out of use; each with the command
    /// that changes it.
    #[must_use]
    pub fn decisions(&self) -> Vec<String> {
        self.current().decisions.clone()
    }

    /// Every file of the folder, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> Vec<FileEntry> {
        self.current().entries.clone()
    }

    pub(crate) fn current(&self) -> Arc<Registry> {
        // A poisoned lock still guards a whole pointer.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts in use what is decided. Calls in flight end with what they began with.
    pub(crate) fn publish(&self, work: &Workbench) {
        let registry = Arc::new(work.registry(&work.inventory));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = registry;
    }

    /// Takes out of use what was revoked since, and back into use what no longer is.
    async fn revoke(&self) {
        match self.trust.refresh() {
            Ok(false) => {}
            Ok(true) => {
                let mut work = self.work.lock().await;
                work.forget_loaded();
                if let Err(error) = work.refresh().await {
                    tracing::error!(%error, "the revocation list changed, and what is installed cannot be read");
                }
                self.publish(&work);
            }
            Err(error) => tracing::error!(%error, "nothing is installed until the revocation list is fixed"),
        }
    }

    /// Takes over what another server changed.
    async fn sync(&self) -> Result<(), StoreError> {
        let mut work = self.work.lock().await;
        if work.shelf.seq(work.inventory.seq).await? != work.inventory.seq {
            work.refresh().await?;
            self.publish(&work);
        }
        Ok(())
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("folder", &self.folder).finish_non_exhaustive()
    }
}
