//! Templates of the catalogue.

use convergence_model::plan::{BuildPlan, Language, PlanRequest};
use convergence_model::tenant::PluginPin;
use convergence_sandbox::{Component, Template};

use crate::failure::PluginFailure;
use crate::registry;

/// A template in use, with its configuration. Keeps working when the catalogue is replaced meanwhile.
#[derive(Debug)]
pub struct ActiveTemplate {
    component: Component,
    template: Template,
    config: String,
}

impl ActiveTemplate {
    pub(crate) fn new(component: Component, template: Template, config: String) -> Self {
        Self { component, template, config }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.component.description().id
    }

    /// What a revision records about it.
    #[must_use]
    pub fn pin(&self) -> PluginPin {
        registry::pin(&self.component)
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
        let description = self.component.description();
        TemplateInfo {
            id: description.id.clone(),
            name: description.name.clone(),
            version: description.version.to_string(),
            digest: self.component.digest().to_owned(),
            languages: self.languages().to_vec(),
            summary: description.summary.clone(),
        }
    }

    /// Asks for a plan; `request.config` is filled in. The plan is untrusted until `render::guard` has seen it.
    pub async fn plan(&self, mut request: PlanRequest) -> Result<BuildPlan, PluginFailure> {
        request.config.clone_from(&self.config);
        self.template.plan(&request).await.map_err(|error| registry::failure(&self.component, error))
    }
}

/// What is shown about a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateInfo {
    /// Its id.
    pub id: String,
    /// For people.
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
