//! Installed plugins: which versions there are, which one is in use, and what an administrator decided about it.
//!
//! [`Inventory`] is all of it at one moment. It is changed by [`Change`]s alone. [`Inventory::arrive`] and
//! [`Inventory::depart`] decide, without any IO, which changes follow when a version turns up or its file is removed: the
//! highest version that is present is in use, unless a rollback holds another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::ids::OrgId;

/// Everything that is installed, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Counts changes, so that two writers cannot both change the same moment.
    pub seq: i64,
    /// By id.
    pub plugins: BTreeMap<String, Installed>,
}

/// A plugin: its versions, and the administrator's decisions, which outlive each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// `template`, `policy`, `billing`. All versions are of one kind.
    pub kind: String,
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Wins over the server's configuration file.
    pub configuration: Option<serde_json::Value>,
    /// Whom it serves; everybody where absent.
    pub organizations: Option<BTreeSet<OrgId>>,
    /// Digest of the version in use. None where no version is present.
    pub active: Option<String>,
    /// Digest of the version that was in use before, which a rollback goes back to.
    pub previous: Option<String>,
    /// The highest version that was ever in use.
    pub highest: Version,
    /// Every version whose bytes are kept, by digest.
    pub versions: BTreeMap<String, InstalledVersion>,
}

/// A version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledVersion {
    /// As it says itself.
    pub version: Version,
    /// Where it came from.
    pub source: Source,
    /// The document that signs it, if one came with it.
    pub signature: Option<String>,
    /// When it was installed.
    pub installed_at: Timestamp,
}

/// Where a version came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Source {
    /// A file of the plugins folder of one server.
    Folder {
        /// Which server's.
        server: String,
        /// Relative to the folder.
        path: String,
    },
    /// The API.
    Upload,
    /// An OCI registry.
    Registry {
        /// As it was asked for.
        reference: String,
    },
    /// A file that another version has replaced since. A rollback may use it.
    Replaced {
        /// Which server's.
        server: String,
        /// Relative to the folder.
        path: String,
    },
    /// A file that was removed. Kept for the tenants that were planned with it, and never used again by itself or by a rollback.
    Removed {
        /// Which server's.
        server: String,
        /// Relative to the folder.
        path: String,
    },
}

impl Source {
    /// The file of a server's folder that it is, or was.
    fn file(&self) -> Option<(&str, &str)> {
        match self {
            Self::Folder { server, path } | Self::Replaced { server, path } | Self::Removed { server, path } => {
                Some((server, path))
            }
            Self::Upload | Self::Registry { .. } => None,
        }
    }
}

impl InstalledVersion {
    /// Whether it lies in a folder, or was installed by somebody.
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self.source, Source::Folder { .. } | Source::Upload | Source::Registry { .. })
    }

    /// Whether its file was removed.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        matches!(self.source, Source::Removed { .. })
    }
}

impl Installed {
    /// A plugin of no versions yet.
    fn new(kind: &str, highest: &Version) -> Self {
        Self {
            kind: kind.to_owned(),
            enabled: true,
            configuration: None,
            organizations: None,
            active: None,
            previous: None,
            highest: highest.clone(),
            versions: BTreeMap::new(),
        }
    }

    /// Digest of the highest version that is present: the one in use, unless a rollback holds another one.
    #[must_use]
    pub fn highest_present(&self) -> Option<&String> {
        let present = self.versions.iter().filter(|(_, version)| version.is_present());
        let highest = present
            .max_by(|(_, a), (_, b)| a.version.cmp_precedence(&b.version).then(a.installed_at.cmp(&b.installed_at)));
        highest.map(|(digest, _)| digest)
    }

    /// The version in use and a higher one that is present, where a rollback keeps that one out.
    #[must_use]
    pub fn held_back(&self) -> Option<(&Version, &Version)> {
        let version = |digest: &String| self.versions.get(digest).map(|version| &version.version);
        let (active, highest) = (version(self.active.as_ref()?)?, version(self.highest_present()?)?);
        active.cmp_precedence(highest).is_lt().then_some((active, highest))
    }
}

/// One change of what is installed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A version is there, not yet in use. `bytes` is the component.
    Add {
        /// The plugin.
        plugin: String,
        /// What it is.
        kind: String,
        /// `sha256:…` of the bytes.
        digest: String,
        /// What is known of it.
        version: InstalledVersion,
        /// The component.
        bytes: Arc<[u8]>,
    },
    /// The same bytes are found somewhere else.
    Move {
        /// The plugin.
        plugin: String,
        /// Of the version.
        digest: String,
        /// Where it is now.
        source: Source,
    },
    /// A version comes into use, or none is.
    Activate {
        /// The plugin.
        plugin: String,
        /// Of the version.
        digest: Option<String>,
    },
    /// The plugin is asked, or not.
    Enable {
        /// The plugin.
        plugin: String,
        /// Whether it is.
        enabled: bool,
    },
    /// What it is told, or `None` for what the configuration file says.
    Configure {
        /// The plugin.
        plugin: String,
        /// A JSON object.
        configuration: Option<serde_json::Value>,
    },
    /// Whom it serves, or `None` for everybody.
    Bind {
        /// The plugin.
        plugin: String,
        /// Their ids.
        organizations: Option<BTreeSet<OrgId>>,
    },
    /// A version is forgotten. Never the one in use.
    Drop {
        /// The plugin.
        plugin: String,
        /// Of the version.
        digest: String,
    },
    /// The plugin is forgotten, with everything that was decided about it.
    Remove {
        /// The plugin.
        plugin: String,
    },
}

impl Change {
    /// The plugin it is about.
    #[must_use]
    pub fn plugin(&self) -> &str {
        match self {
            Self::Add { plugin, .. }
            | Self::Move { plugin, .. }
            | Self::Activate { plugin, .. }
            | Self::Enable { plugin, .. }
            | Self::Configure { plugin, .. }
            | Self::Bind { plugin, .. }
            | Self::Drop { plugin, .. }
            | Self::Remove { plugin } => plugin,
        }
    }
}

/// A version that turned up and passed every check.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The plugin's id.
    pub plugin: &'a str,
    /// What it is.
    pub kind: &'a str,
    /// `sha256:…` of the bytes.
    pub digest: &'a str,
    /// As it says itself.
    pub version: &'a Version,
    /// Where it came from.
    pub source: &'a Source,
}

/// Why an offer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferRefused {
    /// A plugin cannot become one of another kind: a template that took a policy's place would switch it off.
    #[error(
        "`{plugin}` is installed as a {installed}, and this is a {offered}; give it another id, or remove the {installed} first"
    )]
    OtherKind {
        /// The plugin.
        plugin: String,
        /// What is installed.
        installed: String,
        /// What was offered.
        offered: String,
    },
    /// Two different components say that they are the same version.
    #[error(
        "`{plugin}` {version} is installed already, with other contents: installed is {digest}, offered is {offered}; give the new one another version, or uninstall the plugin first (`convergence plugin remove {plugin}`)"
    )]
    SameVersion {
        /// The plugin.
        plugin: String,
        /// The version both have.
        version: Version,
        /// Of the one that is installed.
        digest: String,
        /// Of the other one.
        offered: String,
    },
}

impl Inventory {
    /// What follows when a version turns up that passed every check. `add` is the change that installs it; a version that
    /// is installed already needs none. It comes into use where it is higher than every other one that is present. In the
    /// place of a file it replaces what lay there, unless the same bytes lie `elsewhere` in the folder.
    ///
    /// # Errors
    /// It must not be installed at all.
    pub fn arrive(
        &self,
        offer: &Offer<'_>,
        add: Option<Change>,
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Change>, OfferRefused> {
        let nothing = Installed::new(offer.kind, offer.version);
        let installed = self.plugins.get(offer.plugin).unwrap_or(&nothing);
        if installed.kind != offer.kind {
            return Err(OfferRefused::OtherKind {
                plugin: offer.plugin.to_owned(),
                installed: installed.kind.clone(),
                offered: offer.kind.to_owned(),
            });
        }
        let order = |version: &InstalledVersion| offer.version.cmp_precedence(&version.version);
        let was_present = installed.versions.get(offer.digest).is_some_and(InstalledVersion::is_present);
        let others =
            installed.versions.iter().filter(|(digest, version)| *digest != offer.digest && version.is_present());
        let is_file = matches!(offer.source, Source::Folder { .. });
        let (replaced, mut others): (Vec<_>, Vec<_>) =
            others.partition(|(_, version)| is_file && version.source == *offer.source);
        let plugin = || offer.plugin.to_owned();
        let mut changes = Vec::new();
        let mut lost = BTreeSet::new();
        for (digest, version) in replaced {
            let Source::Folder { server, path } = version.source.clone() else { continue };
            let source = if let Some(path) = elsewhere(digest) {
                others.push((digest, version));
                Source::Folder { server, path }
            } else {
                // A rebuild: of two files of one version there is one.
                let is_rebuild = order(version).is_eq();
                // What a rollback holds stays in use when its file is overwritten; a rollback would find it, too.
                if is_rebuild || installed.held_back().is_none() {
                    lost.insert(digest);
                }
                if is_rebuild { Source::Removed { server, path } } else { Source::Replaced { server, path } }
            };
            changes.push(Change::Move { plugin: plugin(), digest: digest.clone(), source });
        }
        if let Some((twin, version)) = others.iter().find(|(_, version)| order(version).is_eq()) {
            return Err(OfferRefused::SameVersion {
                plugin: offer.plugin.to_owned(),
                version: version.version.clone(),
                digest: (*twin).clone(),
                offered: offer.digest.to_owned(),
            });
        }
        match add {
            Some(add) => changes.push(add),
            None if !was_present => {
                changes.push(Change::Move {
                    plugin: plugin(),
                    digest: offer.digest.to_owned(),
                    source: offer.source.clone(),
                });
            }
            None => {}
        }
        let stays = installed.active.as_ref().is_some_and(|active| !lost.contains(active));
        let active = if !stays {
            self.after(&changes, offer.plugin).and_then(|installed| installed.highest_present().cloned())
        } else if !was_present && others.iter().all(|(_, version)| order(version).is_gt()) {
            Some(offer.digest.to_owned())
        } else {
            installed.active.clone()
        };
        if active != installed.active {
            changes.push(Change::Activate { plugin: plugin(), digest: active });
        }
        Ok(changes)
    }

    /// What follows when a file of a server's folder is removed. `elsewhere` tells where else in that folder the same bytes
    /// lie. The highest version that is still present comes into the place of what was in use.
    #[must_use]
    pub fn depart(&self, server: &str, path: &str, elsewhere: impl Fn(&str) -> Option<String>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (plugin, installed) in &self.plugins {
            let mut moves = Vec::new();
            for (digest, version) in &installed.versions {
                if version.is_removed() || version.source.file() != Some((server, path)) {
                    continue;
                }
                let (plugin, digest, server) = (plugin.clone(), digest.clone(), server.to_owned());
                let source = match elsewhere(&digest) {
                    Some(path) => Source::Folder { server, path },
                    None => Source::Removed { server, path: path.to_owned() },
                };
                moves.push(Change::Move { plugin, digest, source });
            }
            let Some(after) = self.after(&moves, plugin) else { continue };
            let active = after.active.as_ref().and_then(|digest| after.versions.get(digest));
            let lost = active.is_none_or(InstalledVersion::is_removed) && installed.active.is_some();
            changes.extend(moves);
            if lost {
                changes.push(Change::Activate { plugin: plugin.clone(), digest: after.highest_present().cloned() });
            }
        }
        changes
    }

    /// A plugin once these changes were carried out.
    fn after(&self, changes: &[Change], plugin: &str) -> Option<Installed> {
        let mut after = Self { seq: self.seq, plugins: BTreeMap::new() };
        if let Some(installed) = self.plugins.get(plugin) {
            after.plugins.insert(plugin.to_owned(), installed.clone());
        }
        changes.iter().for_each(|change| after.apply(change));
        after.plugins.remove(plugin)
    }

    /// Carries a change out. One about what is not there changes nothing.
    pub fn apply(&mut self, change: &Change) {
        self.seq += 1;
        let plugin = change.plugin();
        if let Change::Add { kind, digest, version, .. } = change {
            let new = || Installed::new(kind, &version.version);
            let installed = self.plugins.entry(plugin.to_owned()).or_insert_with(new);
            installed.versions.insert(digest.clone(), version.clone());
            return;
        }
        if let Change::Remove { .. } = change {
            self.plugins.remove(plugin);
            return;
        }
        let Some(installed) = self.plugins.get_mut(plugin) else { return };
        match change {
            Change::Add { .. } | Change::Remove { .. } => {}
            Change::Move { digest, source, .. } => {
                if let Some(version) = installed.versions.get_mut(digest) {
                    version.source = source.clone();
                }
            }
            Change::Activate { digest, .. } => {
                if installed.active != *digest && installed.active.is_some() {
                    installed.previous = installed.active.take();
                }
                installed.active.clone_from(digest);
                if let Some(version) = digest.as_ref().and_then(|digest| installed.versions.get(digest))
                    && version.version.cmp_precedence(&installed.highest).is_gt()
                {
                    installed.highest = version.version.clone();
                }
            }
            Change::Enable { enabled, .. } => installed.enabled = *enabled,
            Change::Configure { configuration, .. } => installed.configuration.clone_from(configuration),
            Change::Bind { organizations, .. } => installed.organizations.clone_from(organizations),
            Change::Drop { digest, .. } => {
                installed.versions.remove(digest);
                if installed.previous.as_ref() == Some(digest) {
                    installed.previous = None;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "plugin_tests.rs"]
mod tests;
