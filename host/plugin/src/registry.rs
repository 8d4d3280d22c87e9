//! What is in use, at one moment: immutable, and replaced as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use convergence_model::plugin::{Installed, Inventory, Source};
use convergence_sandbox::Kind;
use semver::Version;
use serde_json::Value;

use crate::active::{Active, Ready};
use crate::failure::PluginFailure;
use crate::policy::ActivePolicy;
use crate::template::ActiveTemplate;

/// A file of the plugins folder and what became of it.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// Where it is.
    pub file: PathBuf,
    /// What it is by its exports, also when it was rejected. None where the file could not be read that far.
    pub kind: Option<Kind>,
    /// The plugin it is a version of, once it was accepted.
    pub plugin: Option<(String, Version)>,
    /// `sha256:…` of its bytes, once it was accepted.
    pub digest: Option<String>,
    /// What became of it.
    pub state: State,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In use.
    Active,
    /// Not in use; the reason is for the operator and names what to do.
    Rejected {
        /// Why.
        reason: String,
    },
    /// Installed, and another version of the plugin is in use.
    Shadowed {
        /// The version in use.
        by: String,
    },
    /// Installed, and no version of the plugin is in use: it was disabled.
    Idle,
}

/// What was found in a file when it was last read.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What it is by its exports.
    pub(crate) kind: Option<Kind>,
    /// What it says that it is, once it could be asked.
    pub(crate) plugin: Option<(String, Version)>,
    /// The digest of what was installed, or why it was rejected.
    pub(crate) verdict: Result<String, String>,
}

/// What a registry is made of.
pub(crate) struct Parts<'a> {
    pub(crate) inventory: &'a Inventory,
    /// Components by digest: every one in use, or why it cannot be used.
    pub(crate) ready: &'a BTreeMap<String, Result<Ready, String>>,
    /// The files of this server's folder, relative to it.
    pub(crate) files: &'a BTreeMap<PathBuf, Found>,
    pub(crate) folder: &'a Path,
    pub(crate) server: &'a str,
    /// What is wrong with the folder itself.
    pub(crate) folder_problems: &'a [String],
    /// Of the configuration file.
    pub(crate) configuration: &'a BTreeMap<String, Value>,
}

/// One moment's plugins.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) languages: BTreeMap<String, Arc<ActiveTemplate>>,
    /// By id.
    pub(crate) templates: Vec<Arc<ActiveTemplate>>,
    /// By id, which is the order they are asked in.
    pub(crate) policies: Vec<ActivePolicy>,
    /// The configuration of each plugin in use.
    pub(crate) configurations: BTreeMap<String, String>,
    /// Why an enabled plugin is not in use.
    pub(crate) faults: BTreeMap<String, String>,
    pub(crate) entries: Vec<FileEntry>,
    pub(crate) problems: Vec<String>,
    /// What administrators decided that keeps a plugin, or the highest version of one, out of use.
    pub(crate) decisions: Vec<String>,
    /// A policy that should be asked and cannot be, and why.
    refusing: Option<(String, String)>,
}

impl Registry {
    pub(crate) fn build(parts: &Parts<'_>) -> Self {
        let mut registry = Self::default();
        let mut plugins: Vec<_> = parts.inventory.plugins.iter().collect();
        // Who came first keeps what two claim.
        plugins.sort_by_key(|(id, installed)| (installed.versions.values().map(|v| v.installed_at).min(), *id));
        for (id, installed) in plugins {
            if !installed.enabled {
                continue;
            }
            let Some(digest) = &installed.active else {
                // What a policy would deny must not pass because its file is gone. Other kinds are missed by who needs them.
                if installed.kind == Kind::Policy.as_str() {
                    registry
                        .faults
                        .insert(id.clone(), "its last version was removed from the plugins folder".to_owned());
                }
                continue;
            };
            let activated = match parts.ready.get(digest) {
                Some(Ok(ready)) => registry.activate(ready, installed, parts.configuration.get(id)),
                Some(Err(reason)) => Err(reason.clone()),
                None => Err("its bytes are not in the database".to_owned()),
            };
            if let Err(reason) = activated {
                registry.faults.insert(id.clone(), reason);
            }
        }
        registry.templates.sort_by(|a, b| a.id().cmp(b.id()));
        registry.policies.sort_by_key(|policy| policy.info().id);
        registry.list(parts);
        registry.complain(parts);
        registry
    }

    /// Why nothing is approved, where nothing is: a policy that should be asked and cannot be.
    pub(crate) fn rejected_policy(&self) -> Option<PluginFailure> {
        let (policy, reason) = self.refusing.clone()?;
        Some(PluginFailure::PolicyRejected { policy, reason })
    }

    fn activate(&mut self, ready: &Ready, installed: &Installed, configuration: Option<&Value>) -> Result<(), String> {
        let configuration = installed.configuration.as_ref().or(configuration);
        let config = ready.configured(configuration)?;
        let (id, told) = (ready.component.description().id.clone(), config.clone());
        let active = Active::new(ready.clone(), config, installed.organizations.clone());
        if let Some(template) = ready.component.as_template() {
            for language in template.languages() {
                if let Some(other) = self.languages.get(&language.name) {
                    let (name, other) = (&language.name, other.id());
                    return Err(format!(
                        "it serves the language `{name}`, which the template `{other}` serves already; disable or remove one of them"
                    ));
                }
            }
            let active = Arc::new(ActiveTemplate::new(active, template));
            for language in active.languages() {
                self.languages.insert(language.name.clone(), Arc::clone(&active));
            }
            self.templates.push(active);
        } else if let Some(policy) = ready.component.as_policy() {
            self.policies.push(ActivePolicy::new(active, policy));
        }
        self.configurations.insert(id, told);
        Ok(())
    }

    /// What became of every file.
    fn list(&mut self, parts: &Parts<'_>) {
        // Of equal copies the first is the one in use.
        let mut shown = std::collections::BTreeSet::new();
        for (path, found) in parts.files {
            let file = parts.folder.join(path);
            let (kind, plugin) = (found.kind, found.plugin.clone());
            let entry = match (&found.verdict, &found.plugin) {
                (Err(reason), _) => {
                    FileEntry { file, kind, plugin, digest: None, state: State::Rejected { reason: reason.clone() } }
                }
                (Ok(digest), id) => {
                    let id = id.as_ref().map_or("", |(id, _)| id.as_str());
                    let installed = parts.inventory.plugins.get(id);
                    let active = installed.and_then(|installed| installed.active.as_ref());
                    let in_use = active.and_then(|active| installed?.versions.get(active));
                    let state = match (self.faults.get(id), installed.is_some_and(|i| i.enabled), active, in_use) {
                        (_, true, Some(active), Some(in_use)) if active != digest || !shown.insert(digest) => {
                            State::Shadowed { by: in_use.version.to_string() }
                        }
                        (Some(reason), true, Some(_), _) => State::Rejected { reason: reason.clone() },
                        (None, true, Some(_), Some(_)) => State::Active,
                        _ => State::Idle,
                    };
                    FileEntry { file, kind, plugin, digest: Some(digest.clone()), state }
                }
            };
            self.entries.push(entry);
        }
    }

    /// Says what is wrong, and whether nothing can be approved because of it.
    fn complain(&mut self, parts: &Parts<'_>) {
        self.problems.extend_from_slice(parts.folder_problems);
        for (id, installed) in &parts.inventory.plugins {
            let kind = &installed.kind;
            if !installed.enabled {
                self.decisions
                    .push(format!("the {kind} `{id}` is disabled: `convergence plugin enable {id}` enables it"));
            } else if let Some((active, higher)) = installed.held_back() {
                self.decisions.push(format!(
                    "the {kind} `{id}` is rolled back to {active}, and {higher} is there: `convergence plugin rollback {id} --to {higher}` uses it"
                ));
            }
        }
        for id in parts.configuration.keys().filter(|id| !parts.inventory.plugins.contains_key(*id)) {
            if !parts.files.values().any(|found| found.plugin.as_ref().is_some_and(|(of, _)| of == id)) {
                self.problems.push(format!("there is configuration for the plugin `{id}`, which is not installed"));
            }
        }
        for (id, reason) in &self.faults {
            let kind = parts.inventory.plugins.get(id).map_or("plugin", |installed| installed.kind.as_str());
            let stops = if kind == Kind::Policy.as_str() {
                "; nothing is approved until it is fixed, disabled or removed"
            } else {
                ""
            };
            self.problems.push(format!("the {kind} `{id}` cannot be used: {reason}{stops}"));
            if kind == Kind::Policy.as_str() && self.refusing.is_none() {
                self.refusing = Some((format!("`{id}`"), reason.clone()));
            }
        }
        for (path, found) in parts.files {
            let Err(reason) = &found.verdict else { continue };
            let file = parts.folder.join(path);
            // What this file held before is still in use, so nothing that was asked is no longer asked.
            let replaced = parts.inventory.plugins.values().any(|installed| {
                let active = installed.active.as_ref().and_then(|digest| installed.versions.get(digest));
                active.is_some_and(|version| is_file(&version.source, parts.server, path))
            });
            let problem = match (found.kind, replaced) {
                (_, true) => format!("{} was rejected: {reason}; what it held before stays in use", file.display()),
                (Some(Kind::Policy), false) => format!(
                    "the policy in {} was rejected: {reason}; nothing is approved until it is fixed or removed",
                    file.display()
                ),
                (_, false) => format!("{} was rejected: {reason}", file.display()),
            };
            self.problems.push(problem);
            if found.kind == Some(Kind::Policy) && !replaced && self.refusing.is_none() {
                self.refusing = Some((format!("in {}", file.display()), reason.clone()));
            }
        }
    }
}

/// Whether a version came from this file of this server.
pub(crate) fn is_file(source: &Source, server: &str, path: &Path) -> bool {
    matches!(source, Source::Folder { server: of, path: at } if of == server && Path::new(at) == path)
}
