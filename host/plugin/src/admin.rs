//! What an administrator sees of the installed plugins, and decides about them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use convergence_model::OrgId;
use convergence_model::plugin::{Change, Installed, InstalledVersion, Inventory, Source};
use convergence_sandbox::Kind;
use jiff::Timestamp;
use semver::Version;
use serde_json::Value;

use crate::breaker::BreakerState;
use crate::case::{Case, CaseOutcome};
use crate::catalogue::Catalogue;
use crate::registry::Registry;
use crate::removed;
use crate::stats::PluginStats;
use crate::workbench::{ChangeError, Workbench};

/// What an administrator may decide about a plugin.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Whether it is asked.
    Enable(bool),
    /// What it is told: a JSON object, or `None` for what the configuration file says.
    Configure(Option<Value>),
    /// Whom it serves, or `None` for everybody. Not for templates, which serve everybody.
    Bind(Option<BTreeSet<OrgId>>),
    /// Which version is in use: the one before where none is named.
    Rollback(Option<Choice>),
    /// It is forgotten, and so are its files in the plugins folder.
    Remove,
}

/// A version of a plugin, as an administrator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// By its number.
    Version(Version),
    /// By the beginning of its digest: `sha256:` and at least eight hexadecimal digits.
    Digest(String),
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sha256:") {
            Some(digits) if digits.len() >= 8 && digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) => {
                Ok(Self::Digest(text.to_owned()))
            }
            Some(_) => Err(format!(
                "{text:?} is not the beginning of a digest: `sha256:` and at least 8 hexadecimal digits in lower case"
            )),
            None => {
                text.parse().map(Self::Version).map_err(|error| format!("{text:?} is not a semantic version: {error}"))
            }
        }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Digest(digest) => f.write_str(digest),
        }
    }
}

impl Decision {
    /// In a word, without what it says: a configuration may hold secrets.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Enable(true) => "enable",
            Self::Enable(false) => "disable",
            Self::Configure(_) => "configure",
            Self::Bind(_) => "bind",
            Self::Rollback(_) => "roll back",
            Self::Remove => "remove",
        }
    }
}

/// What is shown about an installed plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginInfo {
    /// Its id.
    pub id: String,
    /// `template`, `policy`, `billing`.
    pub kind: String,
    /// Human-readable. The id where no version of it is loaded.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Where to read more.
    pub homepage: Option<String>,
    /// Whether it is in use.
    pub state: PluginState,
    /// The version in use.
    pub version: Option<Version>,
    /// Its digest.
    pub digest: Option<String>,
    /// Newest first.
    pub versions: Vec<VersionInfo>,
    /// Languages it serves; empty but for templates in use.
    pub languages: Vec<String>,
    /// Interfaces it imports; empty where no version of it is loaded.
    pub imports: Vec<String>,
    /// JSON Schema of its configuration; null where no version of it is loaded.
    pub config_schema: Value,
    /// What an administrator set.
    pub configuration: Option<Value>,
    /// Whom it serves; everybody where absent.
    pub organizations: Option<BTreeSet<OrgId>>,
    /// Whether it is asked in spite of its faults.
    pub breaker: Option<BreakerState>,
    /// What its calls took, since its version came into use in this server.
    pub stats: Option<PluginStats>,
}

/// Whether a plugin is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginState {
    /// It is asked.
    Active,
    /// An administrator disabled it.
    Disabled,
    /// The last file it came from was removed from the plugins folder.
    Removed,
    /// It should be asked and cannot be.
    Faulty(String),
}

/// A version of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// Its semantic version.
    pub version: Version,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// Whether a signature came with it.
    pub signed: bool,
    /// When it was installed.
    pub installed_at: Timestamp,
    /// Whether it is the one in use.
    pub active: bool,
}

impl Catalogue {
    /// Every installed plugin, by id.
    pub async fn plugins(&self) -> Vec<PluginInfo> {
        let work = self.work.lock().await;
        let registry = self.current();
        work.inventory.plugins.iter().map(|(id, installed)| info(&work, &registry, id, installed)).collect()
    }

    /// One installed plugin.
    pub async fn plugin(&self, id: &str) -> Option<PluginInfo> {
        let work = self.work.lock().await;
        let registry = self.current();
        work.inventory.plugins.get(id).map(|installed| info(&work, &registry, id, installed))
    }

    /// Asks the plugin's main function something, with its configuration or another one, as a person would to see what
    /// it does. The call is under the same limits as any other and is not counted.
    ///
    /// # Errors
    /// There is no such plugin, or none of its versions is in use.
    pub async fn try_out(&self, id: &str, input: Value, config: Option<Value>) -> Result<CaseOutcome, ChangeError> {
        let (component, told) = {
            let work = self.work.lock().await;
            let installed = work.inventory.plugins.get(id).ok_or_else(|| ChangeError::NoSuchPlugin(id.to_owned()))?;
            let ready = installed.active.as_ref().and_then(|digest| work.ready(digest));
            let ready = ready.ok_or_else(|| ChangeError::Refused(format!("no version of `{id}` is in use")))?;
            (ready.component.clone(), self.current().configurations.get(id).cloned())
        };
        let told = told.and_then(|text| serde_json::from_str(&text).ok());
        let config = config.or(told).unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        Ok(Case { name: "try".to_owned(), config, input, expect: None }.run(&component).await)
    }

    /// Carries out what an administrator decided. Answers where the files of a plugin are kept that was removed.
    ///
    /// # Errors
    /// There is no such plugin or version, or it would not work then. Nothing was changed.
    pub async fn decide(&self, id: &str, decision: &Decision, actor: &str) -> Result<Vec<PathBuf>, ChangeError> {
        let mut work = self.work.lock().await;
        let now = self.clock.now();
        let mut kept = Vec::new();
        if let (Decision::Remove, Some(installed)) = (decision, work.inventory.plugins.get(id)) {
            // As long as one lies there, the plugin would come back.
            let moved = removed::keep(work.folder.root(), &own_files(&work, installed), now);
            kept = moved.map_err(|(file, error)| {
                ChangeError::Refused(format!(
                    "its file {} cannot be moved ({error}), and would bring it back; remove the file first, or disable the plugin",
                    file.display()
                ))
            })?;
        }
        work.change(actor, now, |inventory| decide(inventory, id, decision)).await?;
        if *decision == Decision::Remove {
            work.files.retain(|_, found| found.plugin.as_ref().is_none_or(|(of, _)| of != id));
        }
        self.tidy(&mut work, actor).await;
        self.publish(&work);
        tracing::info!(target: "plugin", plugin = id, actor, decision = decision.as_str(), ?kept, "an administrator decided about a plugin");
        Ok(kept)
    }
}

fn decide(inventory: &Inventory, id: &str, decision: &Decision) -> Result<Vec<Change>, ChangeError> {
    let installed = inventory.plugins.get(id).ok_or_else(|| ChangeError::NoSuchPlugin(id.to_owned()))?;
    let plugin = id.to_owned();
    let change = match decision {
        Decision::Enable(enabled) if installed.enabled == *enabled => return Ok(Vec::new()),
        Decision::Enable(enabled) => Change::Enable { plugin, enabled: *enabled },
        Decision::Configure(configuration) => Change::Configure { plugin, configuration: configuration.clone() },
        Decision::Bind(Some(_)) if installed.kind == Kind::Template.as_str() => {
            return Err(ChangeError::Refused(
                "a template serves every organization; bind policies to organizations instead".to_owned(),
            ));
        }
        Decision::Bind(organizations) => Change::Bind { plugin, organizations: organizations.clone() },
        Decision::Rollback(version) => {
            let digest = rollback(id, installed, version.as_ref())?;
            if installed.active.as_ref() == Some(&digest) {
                return Ok(Vec::new());
            }
            Change::Activate { plugin, digest: Some(digest) }
        }
        Decision::Remove => Change::Remove { plugin },
    };
    Ok(vec![change])
}

/// The digest of the version to go back to. One whose file was removed is not used again.
fn rollback(id: &str, installed: &Installed, wanted: Option<&Choice>) -> Result<String, ChangeError> {
    let kept = || installed.versions.iter().filter(|(_, version)| !version.is_removed());
    let missing = |version: String| {
        let mut known: Vec<_> = kept().map(|(_, version)| version.version.clone()).collect();
        known.sort();
        known.dedup();
        let known = known.iter().map(ToString::to_string).collect();
        ChangeError::NoSuchVersion { plugin: id.to_owned(), version, known }
    };
    let is_wanted = |(digest, version): &(&String, &InstalledVersion)| match wanted {
        Some(Choice::Version(wanted)) => version.version == *wanted,
        Some(Choice::Digest(wanted)) => digest.starts_with(wanted.as_str()),
        None => installed.previous.as_ref() == Some(*digest),
    };
    let found: Vec<_> = kept().filter(is_wanted).map(|(digest, _)| digest).collect();
    match (found.as_slice(), wanted) {
        ([], None) => Err(missing("before this one".to_owned())),
        ([], Some(wanted)) => Err(missing(wanted.to_string())),
        ([digest], _) => Ok((*digest).clone()),
        (several, wanted) => Err(ChangeError::Refused(format!(
            "{} versions of `{id}` are meant by {}: {}; name one by more of its digest",
            several.len(),
            wanted.map(ToString::to_string).unwrap_or_default(),
            several.iter().map(|digest| digest.as_str()).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The files in this server's folder that the plugin's versions came from.
fn own_files(work: &Workbench, installed: &Installed) -> Vec<PathBuf> {
    let digests: BTreeSet<&String> = installed.versions.keys().collect();
    let lies_there = work.files.iter().filter(|(_, found)| found.verdict.as_ref().is_ok_and(|d| digests.contains(d)));
    lies_there.map(|(path, _)| work.folder.root().join(path)).collect()
}

fn info(work: &Workbench, registry: &Registry, id: &str, installed: &Installed) -> PluginInfo {
    let ready = installed.active.as_ref().and_then(|digest| work.ready(digest));
    let description = ready.map(|ready| ready.component.description());
    let template = registry.templates.iter().find(|template| template.id() == id);
    let state = match (registry.faults.get(id), &installed.active, installed.enabled) {
        (_, _, false) => PluginState::Disabled,
        (Some(reason), _, true) => PluginState::Faulty(reason.clone()),
        (None, None, true) => PluginState::Removed,
        (None, Some(_), true) => PluginState::Active,
    };
    let mut versions: Vec<_> =
        installed.versions.iter().map(|(d, version)| version_info(installed, d, version)).collect();
    versions.sort_by(|a, b| b.version.cmp(&a.version).then(b.installed_at.cmp(&a.installed_at)));
    PluginInfo {
        id: id.to_owned(),
        kind: installed.kind.clone(),
        name: description.map_or_else(|| id.to_owned(), |description| description.name.clone()),
        summary: description.map(|description| description.summary.clone()).unwrap_or_default(),
        homepage: description.and_then(|description| description.homepage.clone()),
        state,
        version: versions.iter().find(|version| version.active).map(|version| version.version.clone()),
        digest: installed.active.clone(),
        versions,
        languages: template.map(|t| t.languages().iter().map(|l| l.name.clone()).collect()).unwrap_or_default(),
        imports: ready.map(|ready| ready.component.imports().to_vec()).unwrap_or_default(),
        config_schema: description.map(|description| description.config_schema.clone()).unwrap_or_default(),
        configuration: installed.configuration.clone(),
        organizations: installed.organizations.clone(),
        breaker: ready.map(|ready| ready.breaker()),
        stats: ready.map(|ready| ready.stats()),
    }
}

fn version_info(installed: &Installed, digest: &str, version: &InstalledVersion) -> VersionInfo {
    VersionInfo {
        version: version.version.clone(),
        digest: digest.to_owned(),
        source: version.source.clone(),
        signed: version.signature.is_some(),
        installed_at: version.installed_at,
        active: installed.active.as_deref() == Some(digest),
    }
}
