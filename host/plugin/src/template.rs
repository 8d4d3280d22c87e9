//! Templates in use.

use convergence_model::plan::{BuildPlan, Detection, Language, PlanRequest};
use convergence_model::tenant::PluginPin;
use convergence_sandbox::Template;

use crate::active::Active;
use crate::failure::PluginFailure;

/// A template in use. Keeps working when it is replaced meanwhile.
#[derive(Debug)]
pub struct ActiveTemplate {
    active: Active,
    template: Template,
}

impl ActiveTemplate {
    pub(crate) fn new(active: Active, template: Template) -> Self {
        Self { active, template }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.active.description().id
    }

    /// What a revision records about it.
    #[must_use]
    pub fn pin(&self) -> PluginPin {
        self.active.pin()
    }

    /// What it serves.
    #[must_use]
    pub fn languages(&self) -> &[Language] {
        self.template.languages()
    }

    /// Patterns (gitignore syntax) of the source files it wants to read.
    #[must_use]
    pub fn wants(&self) -> &[String] {
        self.template.wants()
    }

    /// What is shown about it.
    #[must_use]
    pub fn info(&self) -> TemplateInfo {
        let description = self.active.description();
        TemplateInfo {
            id: description.id.clone(),
            name: description.name.clone(),
            version: description.version.to_string(),
            digest: self.active.digest().to_owned(),
            languages: self.languages().to_vec(),
            summary: description.summary.clone(),
        }
    }

    /// Asks whether the source of the request is in one of its languages; `request.config` is filled in.
    ///
    /// # Errors
    /// The plugin did not answer, answered that it cannot, or broke so often that it is not asked.
    pub async fn detect(&self, mut request: PlanRequest) -> Result<Option<Detection>, PluginFailure> {
        self.active.config().clone_into(&mut request.config);
        self.active.call(self.template.detect_reported(&request)).await
    }

    /// Asks for a plan; `request.config` is filled in. The plan is untrusted until `render::guard` has seen it.
    ///
    /// # Errors
    /// The plugin did not answer, answered that it cannot, or broke so often that it is not asked.
    pub async fn plan(&self, mut request: PlanRequest) -> Result<BuildPlan, PluginFailure> {
        self.active.config().clone_into(&mut request.config);
        self.active.call(self.template.plan_reported(&request)).await
    }
}

/// What is shown about a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateInfo {
    /// Its id.
    pub id: String,
    /// Human-readable.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// What it serves.
    pub languages: Vec<Language>,
    /// One sentence.
    pub summary: String,
}
