//! The one place where what is installed changes: decide on what is known, try it out, write it down, put it in use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use convergence_model::plugin::{Change, Inventory};
use convergence_sandbox::{Component, Sandbox};
use convergence_store::StoreError;
use jiff::Timestamp;
use serde_json::Value;

use crate::active::Ready;
use crate::catalogue::Settings;
use crate::examine::Examiner;
use crate::folder::Folder;
use crate::loading::Loading;
use crate::registry::{Found, Parts, Registry};
use crate::shelf::Shelf;
use crate::trust::TrustPolicy;

/// How often a decision is made anew because somebody else changed the inventory meanwhile.
const ATTEMPTS: u32 = 10;
/// Versions kept for a rollback, beside those in use, before, and pinned by a revision.
const KEPT: usize = 5;

/// What the catalogue works on, held by one task at a time.
pub(crate) struct Workbench {
    pub(crate) shelf: Shelf,
    pub(crate) sandbox: Sandbox,
    pub(crate) trust: Arc<TrustPolicy>,
    /// Names this server's folder among those of several servers.
    pub(crate) server: String,
    /// Of the configuration file, by plugin.
    pub(crate) configuration: BTreeMap<String, Value>,
    loading: Loading,
    pub(crate) inventory: Inventory,
    pub(crate) folder: Folder,
    pub(crate) files: BTreeMap<PathBuf, Found>,
    pub(crate) folder_problems: Vec<String>,
    /// Components by digest: every one in use, or why it cannot be.
    ready: BTreeMap<String, Result<Ready, String>>,
}

/// Why a change was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such plugin.
    #[error("no plugin `{0}` is installed")]
    NoSuchPlugin(String),
    /// The plugin has no such version.
    #[error("`{plugin}` has no version {version}; there are: {}", .known.join(", "))]
    NoSuchVersion {
        /// The plugin.
        plugin: String,
        /// As asked for; `before this one` where none was named.
        version: String,
        /// Those that are installed.
        known: Vec<String>,
    },
    /// It would not work.
    #[error("{0}")]
    Refused(String),
    /// Others changed the inventory again and again.
    #[error("others change the plugins at the same time; try again in a moment")]
    Contended,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Workbench {
    pub(crate) fn new(shelf: Shelf, sandbox: Sandbox, settings: Settings) -> Self {
        let Settings { folder, server, configuration, trust, loading, registries: _ } = settings;
        Self {
            shelf,
            sandbox,
            trust,
            server,
            configuration,
            loading,
            inventory: Inventory::default(),
            folder: Folder::new(folder),
            files: BTreeMap::new(),
            folder_problems: Vec::new(),
            ready: BTreeMap::new(),
        }
    }

    /// Reads the inventory and loads what is in use.
    pub(crate) async fn refresh(&mut self) -> Result<(), StoreError> {
        let inventory = self.shelf.inventory().await?;
        self.load(&inventory).await?;
        self.inventory = inventory;
        Ok(())
    }

    /// Lays out a component that was just examined, so that it need not be read again.
    pub(crate) fn lay_out(&mut self, component: Component) {
        let digest = component.digest().to_owned();
        if !matches!(self.ready.get(&digest), Some(Ok(_))) {
            self.ready.insert(digest, Ok(Ready::new(component)));
        }
    }

    /// Makes the next [`Self::refresh`] judge and load everything again.
    pub(crate) fn forget_loaded(&mut self) {
        self.ready.clear();
    }

    /// The component with this digest, if it is loaded.
    pub(crate) fn ready(&self, digest: &str) -> Option<&Ready> {
        self.ready.get(digest)?.as_ref().ok()
    }

    /// The registry that an inventory makes.
    pub(crate) fn registry(&self, inventory: &Inventory) -> Registry {
        Registry::build(&Parts {
            inventory,
            ready: &self.ready,
            files: &self.files,
            folder: self.folder.root(),
            server: &self.server,
            folder_problems: &self.folder_problems,
            configuration: &self.configuration,
        })
    }

    /// Decides, tries out, and writes down. `decide` is asked again when somebody else was faster.
    pub(crate) async fn change(
        &mut self,
        actor: &str,
        now: Timestamp,
        decide: impl Fn(&Inventory) -> Result<Vec<Change>, ChangeError>,
    ) -> Result<(), ChangeError> {
        for _ in 0..ATTEMPTS {
            let changes = decide(&self.inventory)?;
            if changes.is_empty() {
                return Ok(());
            }
            let mut after = self.inventory.clone();
            changes.iter().for_each(|change| after.apply(change));
            self.load(&after).await?;
            self.try_out(&after, &changes)?;
            if let Some(after) = self.shelf.change(&self.inventory, &changes, actor, now).await? {
                self.inventory = after;
                return Ok(());
            }
            self.refresh().await?;
        }
        Err(ChangeError::Contended)
    }

    /// Whether what is to come into use would work. What merely tidies up is not held up by what does not work already.
    fn try_out(&self, after: &Inventory, changes: &[Change]) -> Result<(), ChangeError> {
        let uses = |change: &&Change| {
            let activates =
                matches!(change, Change::Activate { digest: Some(_), .. } | Change::Enable { enabled: true, .. });
            activates || matches!(change, Change::Configure { .. })
        };
        let named: BTreeSet<_> = changes.iter().filter(uses).map(Change::plugin).collect();
        if named.is_empty() {
            return Ok(());
        }
        let faults = self.registry(after).faults;
        match faults.into_iter().find(|(id, _)| named.contains(id.as_str())) {
            Some((_, reason)) => Err(ChangeError::Refused(reason)),
            None => Ok(()),
        }
    }

    /// Loads what an inventory has in use, and lets go of what nobody uses.
    async fn load(&mut self, inventory: &Inventory) -> Result<(), StoreError> {
        for (id, installed) in &inventory.plugins {
            let Some(digest) = &installed.active else { continue };
            if self.ready.contains_key(digest) {
                continue;
            }
            let _listed = self.loading.begin(id);
            let loaded = match self.shelf.bytes(id, digest).await? {
                Some(bytes) => {
                    let version = installed.versions.get(digest);
                    let signature = version.and_then(|version| version.signature.as_deref());
                    let installed_at = version.map_or(Timestamp::UNIX_EPOCH, |version| version.installed_at);
                    let examiner = Examiner { sandbox: &self.sandbox, trust: &self.trust };
                    let loaded = examiner.reload(bytes, signature, installed_at).await;
                    loaded.map(Ready::new).map_err(|rejected| rejected.reason)
                }
                None => Err("its bytes are not in the database; install it again".to_owned()),
            };
            self.ready.insert(digest.clone(), loaded);
        }
        Ok(())
    }

    /// Lets go of components that are not in use, and of versions that are kept for nobody.
    pub(crate) async fn tidy(&mut self, actor: &str, now: Timestamp) -> Result<(), ChangeError> {
        let active: BTreeSet<_> =
            self.inventory.plugins.values().filter_map(|installed| installed.active.clone()).collect();
        self.ready.retain(|digest, _| active.contains(digest));
        let offered: BTreeSet<&String> = self.files.values().filter_map(|found| found.verdict.as_ref().ok()).collect();
        let mut spare = Vec::new();
        for (id, installed) in &self.inventory.plugins {
            let needed = |digest: &String| {
                installed.active.as_ref() == Some(digest)
                    || installed.previous.as_ref() == Some(digest)
                    || installed.highest_present() == Some(digest)
                    || offered.contains(digest)
            };
            let mut others: Vec<_> = installed.versions.iter().filter(|(digest, _)| !needed(digest)).collect();
            others.sort_by_key(|(_, version)| std::cmp::Reverse(version.installed_at));
            for (digest, _) in others.into_iter().skip(KEPT) {
                if !self.shelf.is_pinned(digest).await? {
                    spare.push(Change::Drop { plugin: id.clone(), digest: digest.clone() });
                }
            }
        }
        self.change(actor, now, |inventory| {
            let still = |change: &&Change| {
                let Change::Drop { plugin, digest } = change else { return false };
                inventory.plugins.get(plugin).is_some_and(|i| i.active.as_ref() != Some(digest))
            };
            Ok(spare.iter().filter(still).cloned().collect())
        })
        .await
    }
}
