//! The plugins in use at one moment, and the questions the host asks of them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use convergence_model::plan::{BuildPlan, PlanRequest};
use convergence_model::policy::Review;
use convergence_model::tenant::PluginPin;

use crate::failure::PluginFailure;
use crate::policy::{self, ActivePolicy, PolicyInfo, Reviewed};
use crate::registry::Registry;
use crate::template::{ActiveTemplate, TemplateInfo};

/// The plugins in use at one moment. Keeps working when they are replaced meanwhile. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    registry: Arc<Registry>,
    folder: PathBuf,
}

impl Snapshot {
    pub(crate) fn new(registry: Arc<Registry>, folder: PathBuf) -> Self {
        Self { registry, folder }
    }

    /// The templates in use, by id.
    #[must_use]
    pub fn templates(&self) -> Vec<TemplateInfo> {
        self.registry.templates.iter().map(|template| template.info()).collect()
    }

    /// The templates in use, to be asked one by one.
    #[must_use]
    pub fn active_templates(&self) -> &[Arc<ActiveTemplate>] {
        &self.registry.templates
    }

    /// The policies in use, by id.
    #[must_use]
    pub fn policies(&self) -> Vec<PolicyInfo> {
        self.registry.policies.iter().map(ActivePolicy::info).collect()
    }

    /// Languages that are served, in order.
    #[must_use]
    pub fn languages(&self) -> Vec<String> {
        self.registry.languages.keys().cloned().collect()
    }

    /// The template that serves a language, whose name is in lower case.
    #[must_use]
    pub fn template_for(&self, language: &str) -> Option<Arc<ActiveTemplate>> {
        self.registry.languages.get(language).cloned()
    }

    /// Why [`Self::review`] refuses everything, where it does: a policy that should be asked and cannot be.
    #[must_use]
    pub fn rejected_policy(&self) -> Option<PluginFailure> {
        self.registry.rejected_policy()
    }

    /// Asks the language's template for a plan; `request.config` is filled in. With it comes who made it: plugin id,
    /// version and digest. The plan is untrusted until `render::guard` has seen it.
    ///
    /// # Errors
    /// No template serves the language, or it did not answer.
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

    /// Asks every policy that applies to the organization what it says to a change; `review.config` is filled in. Any
    /// that does not answer refuses it, and so does one that is meant to be asked and cannot be: a policy must not go
    /// away by being broken. A file that cannot be read far enough to tell its kind is no more than a problem.
    ///
    /// # Errors
    /// A policy cannot be asked or did not answer.
    pub async fn review(&self, review: Review) -> Result<Reviewed, PluginFailure> {
        if let Some(failure) = self.registry.rejected_policy() {
            return Err(failure);
        }
        policy::review(&self.registry.policies, review).await
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("languages", &self.languages()).finish_non_exhaustive()
    }
}
