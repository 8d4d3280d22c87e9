//! Installed plugins: which versions there are, which one is in use, and what an administrator decided about it.
//!
//! [`Inventory`] is all of it at one moment. It is changed by [`Change`]s alone, and [`Inventory::offer`] decides,
//! without any IO, which changes a version that turns up asks for.

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
    /// Digest of the version in use. None once the file it came from was taken out of the folder.
    pub active: Option<String>,
    /// Digest of the version that was in use before, which a rollback goes back to.
    pub previous: Option<String>,
    /// The highest version that was ever in use: nothing below it comes into use by itself.
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

/// What becomes of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is installed and comes into use.
    Activate,
    /// It is installed beside the version in use, which is higher.
    Beside,
    /// It is installed already, and nothing changes.
    Known,
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
        "another `{plugin}` {version} is installed already, with other contents ({digest}); give one of them another version, or remove it"
    )]
    SameVersion {
        /// The plugin.
        plugin: String,
        /// The version both have.
        version: Version,
        /// Of the one that is installed.
        digest: String,
    },
}

impl Inventory {
    /// Decides what becomes of a version that turned up. A higher version comes into use, a lower one is kept beside
    /// it: going down is a decision of a person ([`Change::Activate`]). The same version with other contents is taken
    /// for a rebuild where it comes from the same place, and refused where it does not.
    ///
    /// # Errors
    /// It must not be installed at all.
    pub fn offer(&self, offer: &Offer<'_>) -> Result<Verdict, OfferRefused> {
        let Some(installed) = self.plugins.get(offer.plugin) else { return Ok(Verdict::Activate) };
        if installed.kind != offer.kind {
            return Err(OfferRefused::OtherKind {
                plugin: offer.plugin.to_owned(),
                installed: installed.kind.clone(),
                offered: offer.kind.to_owned(),
            });
        }
        let order = |version: &Version| offer.version.cmp_precedence(version);
        let known = installed.versions.contains_key(offer.digest);
        let in_use = installed.active.as_ref().and_then(|digest| installed.versions.get(digest));
        let Some(active) = in_use else {
            // Its file was taken out. What was in use may come back; what is below it does not slip in.
            return Ok(match (order(&installed.highest).is_ge(), known) {
                (true, _) => Verdict::Activate,
                (false, true) => Verdict::Known,
                (false, false) => Verdict::Beside,
            });
        };
        if known {
            return Ok(Verdict::Known);
        }
        let twin = installed.versions.iter().find(|(_, version)| order(&version.version).is_eq());
        if let Some((twin, version)) = twin
            && version.source != *offer.source
        {
            return Err(OfferRefused::SameVersion {
                plugin: offer.plugin.to_owned(),
                version: version.version.clone(),
                digest: twin.clone(),
            });
        }
        let rises = order(&active.version).is_ge() && order(&installed.highest).is_ge();
        Ok(if rises { Verdict::Activate } else { Verdict::Beside })
    }

    /// Carries a change out. One about what is not there changes nothing.
    pub fn apply(&mut self, change: &Change) {
        self.seq += 1;
        let plugin = change.plugin();
        if let Change::Add { kind, digest, version, .. } = change {
            let installed = self.plugins.entry(plugin.to_owned()).or_insert_with(|| Installed {
                kind: kind.clone(),
                enabled: true,
                configuration: None,
                organizations: None,
                active: None,
                previous: None,
                highest: version.version.clone(),
                versions: BTreeMap::new(),
            });
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn file(path: &str) -> Source {
        Source::Folder { server: "one".to_owned(), path: path.to_owned() }
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    /// Offers a version and carries out what is decided.
    fn drop_in(
        state: &mut Inventory,
        kind: &str,
        digest: &str,
        number: &str,
        source: &Source,
    ) -> Result<Verdict, OfferRefused> {
        let number = version(number);
        let verdict = state.offer(&Offer { plugin: "ruby", kind, digest, version: &number, source })?;
        let (plugin, digest) = ("ruby".to_owned(), digest.to_owned());
        if verdict != Verdict::Known {
            let version = InstalledVersion {
                version: number,
                source: source.clone(),
                signature: None,
                installed_at: Timestamp::UNIX_EPOCH,
            };
            let (plugin, digest, kind) = (plugin.clone(), digest.clone(), kind.to_owned());
            state.apply(&Change::Add { plugin, kind, digest, version, bytes: Arc::default() });
        }
        if verdict == Verdict::Activate {
            state.apply(&Change::Activate { plugin, digest: Some(digest) });
        }
        Ok(verdict)
    }

    fn active(state: &Inventory) -> Option<&str> {
        state.plugins["ruby"].active.as_deref()
    }

    #[test]
    fn a_higher_version_comes_into_use_and_a_lower_one_waits() {
        let mut state = Inventory::default();
        assert_eq!(drop_in(&mut state, "template", "b", "1.1.0", &file("b.wasm")), Ok(Verdict::Activate));
        assert_eq!(drop_in(&mut state, "template", "a", "1.0.0", &file("a.wasm")), Ok(Verdict::Beside));
        assert_eq!(active(&state), Some("b"));
        assert_eq!(drop_in(&mut state, "template", "c", "1.2.0", &Source::Upload), Ok(Verdict::Activate));
        assert_eq!(active(&state), Some("c"));
        assert_eq!(state.plugins["ruby"].previous.as_deref(), Some("b"));
    }

    #[test]
    fn a_rollback_holds_until_something_new_turns_up() {
        let mut state = Inventory::default();
        drop_in(&mut state, "template", "a", "1.0.0", &file("ruby.wasm")).unwrap();
        drop_in(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")).unwrap();
        state.apply(&Change::Activate { plugin: "ruby".to_owned(), digest: Some("a".to_owned()) });
        assert_eq!(drop_in(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")), Ok(Verdict::Known));
        assert_eq!(active(&state), Some("a"), "the same file at the next start");
        // Above what runs and below what ran: still a step down from where the operator has been.
        assert_eq!(drop_in(&mut state, "template", "x", "1.0.5", &Source::Upload), Ok(Verdict::Beside));
        assert_eq!(drop_in(&mut state, "template", "c", "1.1.1", &file("ruby.wasm")), Ok(Verdict::Activate));
    }

    #[test]
    fn what_was_taken_out_makes_no_room_for_something_lower() {
        let mut state = Inventory::default();
        drop_in(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")).unwrap();
        state.apply(&Change::Activate { plugin: "ruby".to_owned(), digest: None });
        assert_eq!(drop_in(&mut state, "template", "a", "1.0.0", &file("ruby.wasm")), Ok(Verdict::Beside));
        assert_eq!(active(&state), None);
        assert_eq!(drop_in(&mut state, "template", "b", "1.1.0", &file("ruby.wasm")), Ok(Verdict::Activate));
        assert_eq!(active(&state), Some("b"), "the same file came back");
    }

    #[test]
    fn a_rebuild_replaces_and_a_double_is_refused() {
        let mut state = Inventory::default();
        drop_in(&mut state, "template", "a", "1.0.0", &file("ruby.wasm")).unwrap();
        assert_eq!(drop_in(&mut state, "template", "b", "1.0.0", &file("ruby.wasm")), Ok(Verdict::Activate));
        let refused = drop_in(&mut state, "template", "c", "1.0.0", &file("other.wasm")).unwrap_err();
        assert!(matches!(refused, OfferRefused::SameVersion { .. }), "{refused}");
        assert_eq!(active(&state), Some("b"));
    }

    #[test]
    fn a_policy_cannot_be_replaced_by_a_template_of_its_name() {
        let mut state = Inventory::default();
        drop_in(&mut state, "policy", "a", "1.0.0", &file("limits.wasm")).unwrap();
        let refused = drop_in(&mut state, "template", "b", "2.0.0", &file("limits.wasm")).unwrap_err();
        assert!(matches!(refused, OfferRefused::OtherKind { .. }), "{refused}");
    }
}
