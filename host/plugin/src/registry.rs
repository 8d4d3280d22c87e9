//! What is loaded, at one moment: immutable, and replaced as a whole.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use convergence_model::tenant::PluginPin;
use convergence_sandbox::{Component, Description, Kind};
use serde_json::Value;

use crate::configuration;
use crate::failure::PluginFailure;
use crate::policy::ActivePolicy;
use crate::scan::Scanned;
use crate::template::ActiveTemplate;

/// A file of the plugins folder and what became of it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it is.
    pub file: PathBuf,
    /// What it is by its exports, also when it was rejected. None where the file could not be read that far.
    pub kind: Option<Kind>,
    /// What it says about itself, once it could be asked.
    pub description: Option<Description>,
    /// `sha256:…` of its bytes, once it was accepted by the sandbox.
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
    /// Not in use because the same plugin is there in a higher version, or a second time.
    Shadowed {
        /// The version in use.
        by: String,
    },
}

/// One moment's plugins.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) entries: Vec<Entry>,
    pub(crate) problems: Vec<String>,
    pub(crate) languages: BTreeMap<String, Arc<ActiveTemplate>>,
    /// By id.
    pub(crate) templates: Vec<Arc<ActiveTemplate>>,
    /// By id, which is the order they are asked in.
    pub(crate) policies: Vec<ActivePolicy>,
}

impl Registry {
    /// Decides which of the files are in use.
    pub(crate) fn resolve(
        scanned: Vec<Scanned>,
        mut problems: Vec<String>,
        configuration: &BTreeMap<String, Value>,
    ) -> Self {
        let disputed = disputed(&scanned);
        let winners = winners(&scanned, &disputed);
        let mut registry = Self::default();
        let mut active: BTreeMap<String, Component> = BTreeMap::new();
        let mut index: BTreeMap<String, usize> = BTreeMap::new();
        for (at, Scanned { file, kind, loaded }) in scanned.into_iter().enumerate() {
            let entry = match loaded {
                Err(reason) => Entry { file, kind, description: None, digest: None, state: State::Rejected { reason } },
                Ok(component) => {
                    let id = component.description().id.clone();
                    let state = match winners.get(&id) {
                        Some(winner) if winner.at != at => lost(&component, winner),
                        Some(_) => {
                            index.insert(id.clone(), at);
                            active.insert(id, component.clone());
                            State::Active
                        }
                        None => State::Rejected {
                            reason: format!(
                                "a template and a policy both have the id `{id}`; give one of them another id, or \
                                 remove it"
                            ),
                        },
                    };
                    Entry {
                        file,
                        kind: Some(component.kind()),
                        description: Some(component.description().clone()),
                        digest: Some(component.digest().to_owned()),
                        state,
                    }
                }
            };
            registry.entries.push(entry);
        }
        let known: BTreeSet<String> = winners.into_keys().chain(disputed).collect();
        for (id, component) in active {
            if let Err(reason) = registry.activate(component, configuration.get(&id))
                && let Some(entry) = index.get(&id).and_then(|at| registry.entries.get_mut(*at))
            {
                entry.state = State::Rejected { reason };
            }
        }
        for id in configuration.keys().filter(|id| !known.contains(*id)) {
            problems.push(format!("there is configuration for the plugin `{id}`, which is not installed"));
        }
        for entry in &registry.entries {
            let State::Rejected { reason } = &entry.state else { continue };
            let file = entry.file.display();
            problems.push(if entry.kind == Some(Kind::Policy) {
                format!(
                    "the policy in {file} was rejected: {reason}; nothing is approved until it is mended or removed"
                )
            } else {
                format!("{file} was rejected: {reason}")
            });
        }
        registry.problems = problems;
        registry
    }

    /// The first policy that is installed and not in use for a fault of its own. What it would object to is unknown,
    /// so nothing can be approved.
    pub(crate) fn rejected_policy(&self) -> Option<PluginFailure> {
        self.entries.iter().find_map(|entry| match &entry.state {
            State::Rejected { reason } if entry.kind == Some(Kind::Policy) => {
                Some(PluginFailure::PolicyRejected { file: entry.file.clone(), reason: reason.clone() })
            }
            _ => None,
        })
    }

    fn activate(&mut self, component: Component, configuration: Option<&Value>) -> Result<(), String> {
        let config = configuration::check(&component.description().config_schema, configuration)?;
        if let Some(template) = component.as_template() {
            for language in template.languages() {
                if let Some(other) = self.languages.get(&language.name) {
                    let (name, other) = (&language.name, other.id());
                    return Err(format!(
                        "it serves the language `{name}`, which the template `{other}` serves already; remove one of them"
                    ));
                }
            }
            let active = Arc::new(ActiveTemplate::new(component, template, config));
            for language in active.languages() {
                self.languages.insert(language.name.clone(), Arc::clone(&active));
            }
            self.templates.push(active);
        } else if let Some(policy) = component.as_policy() {
            self.policies.push(ActivePolicy::new(component, policy, config));
        }
        Ok(())
    }
}

/// The file that is used for an id.
struct Winner {
    at: usize,
    component: Component,
}

/// The ids that plugins of different kinds have. Neither may win: a template that shadowed a policy would switch it
/// off.
fn disputed(scanned: &[Scanned]) -> BTreeSet<String> {
    let mut kinds: BTreeMap<&str, BTreeSet<Kind>> = BTreeMap::new();
    for component in scanned.iter().filter_map(|one| one.loaded.as_ref().ok()) {
        kinds.entry(&component.description().id).or_default().insert(component.kind());
    }
    kinds.into_iter().filter(|(_, kinds)| kinds.len() > 1).map(|(id, _)| id.to_owned()).collect()
}

/// The file that is used for each id that is not disputed.
fn winners(scanned: &[Scanned], disputed: &BTreeSet<String>) -> BTreeMap<String, Winner> {
    let mut winners: BTreeMap<String, Winner> = BTreeMap::new();
    for (at, one) in scanned.iter().enumerate() {
        let Ok(component) = &one.loaded else { continue };
        let description = component.description();
        if disputed.contains(&description.id) {
            continue;
        }
        let better = winners.get(&description.id).is_none_or(|winner| {
            // Of two equal ones the first file stays, so that adding one never changes what runs.
            let current = &winner.component.description().version;
            description.version.cmp_precedence(current) == Ordering::Greater
        });
        if better {
            winners.insert(description.id.clone(), Winner { at, component: component.clone() });
        }
    }
    winners
}

fn lost(component: &Component, winner: &Winner) -> State {
    let (mine, theirs) = (component.description(), winner.component.description());
    let same_version = mine.version.cmp_precedence(&theirs.version) == Ordering::Equal;
    if same_version && component.digest() != winner.component.digest() {
        return State::Rejected {
            reason: format!(
                "another file is `{}` {} as well, with other contents ({}); give one of them another version, or remove it",
                mine.id,
                mine.version,
                winner.component.digest()
            ),
        };
    }
    State::Shadowed { by: theirs.version.to_string() }
}

/// What is recorded about the plugin that made a decision.
pub(crate) fn pin(component: &Component) -> PluginPin {
    PluginPin { version: component.description().version.to_string(), digest: component.digest().to_owned() }
}

/// What a failure of this plugin is called.
pub(crate) fn failure(component: &Component, error: convergence_sandbox::CallError) -> PluginFailure {
    let Description { id, version, .. } = component.description();
    let kind: Kind = component.kind();
    PluginFailure::Call { id: id.clone(), version: version.to_string(), kind, error }
}
