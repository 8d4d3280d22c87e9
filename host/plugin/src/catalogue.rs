//! The catalogue: what is loaded now, and the questions the host asks of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use convergence_model::plan::{BuildPlan, PlanRequest};
use convergence_model::policy::Review;
use convergence_model::tenant::PluginPin;
use convergence_sandbox::Sandbox;
use serde_json::Value;

use crate::failure::PluginFailure;
use crate::policy::{self, ActivePolicy, PolicyInfo, Reviewed};
use crate::registry::{Entry, Registry};
use crate::scan;
use crate::template::{ActiveTemplate, TemplateInfo};

/// The installed plugins. Share it in an `Arc`.
pub struct Catalogue {
    folder: PathBuf,
    /// Held only to copy or replace the pointer: a call in flight keeps the registry it began with.
    current: RwLock<Arc<Registry>>,
}

impl Catalogue {
    /// Loads what is in a folder and in the folders in it (`*.wasm`). `configuration` is JSON by plugin id; a plugin
    /// without gets `{}`. Never fails: what is wrong is in [`Self::problems`] and [`Self::entries`].
    pub async fn open(sandbox: Sandbox, folder: impl Into<PathBuf>, configuration: BTreeMap<String, Value>) -> Self {
        let folder = folder.into();
        let (scanned, problems) = scan::folder(&sandbox, &folder).await;
        let registry = Registry::resolve(scanned, problems, &configuration);
        for problem in &registry.problems {
            tracing::warn!(target: "plugin", "{problem}");
        }
        Self { folder, current: RwLock::new(Arc::new(registry)) }
    }

    /// The plugins folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is wrong, for the operator: the folder, rejected files, configuration without a plugin. Empty when
    /// everything that was found is in use.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let registry = self.current();
        let mut problems = registry.problems.clone();
        if registry.templates.is_empty() {
            problems.push(format!("no language template is active; put components into {}", self.folder.display()));
        }
        problems
    }

    /// Why [`Self::review`] refuses everything, where it does: a policy that is installed and was rejected.
    #[must_use]
    pub fn rejected_policy(&self) -> Option<PluginFailure> {
        self.current().rejected_policy()
    }

    /// Every file that was looked at, in the order of their paths.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.current().entries.clone()
    }

    /// The templates in use, by id.
    #[must_use]
    pub fn templates(&self) -> Vec<TemplateInfo> {
        self.current().templates.iter().map(|template| template.info()).collect()
    }

    /// The policies in use, by id.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyInfo> {
        self.current().policies.iter().map(ActivePolicy::info).collect()
    }

    /// Languages that are served, in order.
    #[must_use]
    pub fn languages(&self) -> Vec<String> {
        self.current().languages.keys().cloned().collect()
    }

    /// The template that serves a language, whose name is in lower case.
    #[must_use]
    pub fn template_for(&self, language: &str) -> Option<Arc<ActiveTemplate>> {
        self.current().languages.get(language).cloned()
    }

    /// Asks the language's template for a plan; `request.config` is filled in. With it comes who made it: plugin id,
    /// version and digest. The plan is untrusted until `render::guard` has seen it.
    pub async fn plan(
        &self,
        language: &str,
        request: PlanRequest,
    ) -> Result<(BuildPlan, (String, PluginPin)), PluginFailure> {
        let Some(template) = self.template_for(language) else {
            let known = self.languages();
            return Err(if known.is_empty() {
                PluginFailure::NoTemplates { folder: self.folder.clone() }
            } else {
                PluginFailure::UnknownLanguage { language: language.to_owned(), known }
            });
        };
        let plan = template.plan(request).await?;
        Ok((plan, (template.id().to_owned(), template.pin())))
    }

    /// Asks every policy what it says to a change; `review.config` is filled in. Any that does not answer refuses it,
    /// and so does one that is installed and was rejected: a policy must not go away by being broken. A file that
    /// cannot be read far enough to tell its kind is no more than a problem.
    pub async fn review(&self, review: Review) -> Result<Reviewed, PluginFailure> {
        let registry = self.current();
        if let Some(failure) = registry.rejected_policy() {
            return Err(failure);
        }
        policy::review(&registry.policies, review).await
    }

    fn current(&self) -> Arc<Registry> {
        // A poisoned lock still guards a whole pointer.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalogue").field("folder", &self.folder).field("languages", &self.languages()).finish()
    }
}
