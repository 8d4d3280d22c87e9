//! What a deployment changes, as clients write it.

use std::collections::BTreeMap;

use convergence_model::{ServiceSpec, Source, TenantSpec, Violation};
use serde::Deserialize;
use utoipa::ToSchema;

use super::begin::reason;
use crate::document::refusal::Wrong;
use crate::input::merged;
use crate::routes::tenant::source::{SourceBody, source_schema};
use crate::routes::tenant::wire::{Asked, LimitsBody, slug, variables, variables_schema};

/// What is to be different in a tenant's next revision. What is absent stays as it is.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "source": {"archive": "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"},
    "reason": "a new front page"
}))]
pub(crate) struct ChangeBody {
    /// Where the application comes from. With a source, `language`, `framework`, `port` and `healthPath` of the one before are
    /// forgotten; with an image, `baseImage` too.
    #[schema(schema_with = source_schema)]
    source: Option<SourceBody>,
    /// A language that `GET /api/v1/templates` lists, or `dockerfile`. With a source and without this, the source says it, or it
    /// is recognized anew. An image has none.
    #[schema(pattern = "^[A-Za-z0-9._+#/-]{1,64}$")]
    language: Option<String>,
    /// A framework of that language. With another source or language and without this, the template decides.
    #[schema(pattern = "^[A-Za-z0-9._+#/-]{1,64}$")]
    framework: Option<String>,
    /// Runs on this image instead of the template's; must be on the operator's allowlist.
    base_image: Option<String>,
    /// How much of a machine it may use. What is absent stays as it is.
    limits: Option<LimitsBody>,
    /// All variables of its own, set literally: those that are absent are gone.
    #[schema(schema_with = variables_schema)]
    env: Option<BTreeMap<String, String>>,
    /// The port that the application listens on, whatever `PORT` is; from 1024 where a template builds it.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// The path, beginning with `/`, that answers 2xx once the application is ready.
    #[schema(max_length = 255, pattern = "^/(?!/)")]
    health_path: Option<String>,
    /// Why, human-readable: at most 200 characters on one line.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub(crate) reason: Option<String>,
}

impl ChangeBody {
    /// The request as it is compared with another one.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked::of(
            self.source.as_ref(),
            [None, self.language.as_deref(), self.framework.as_deref(), None, self.base_image.as_deref()],
            self.limits.as_ref(),
            self.env.as_ref(),
            (self.port, self.health_path.as_deref()),
        )
    }

    /// Whether it says where the application comes from.
    pub(crate) fn sends_source(&self) -> bool {
        self.source.is_some()
    }

    /// The spec of the next revision and why it is made, or everything that is wrong, what the schema `told` included.
    pub(crate) fn change(
        self,
        before: TenantSpec,
        told: Vec<Violation>,
    ) -> Result<(TenantSpec, String), Vec<Violation>> {
        let mut wrong = Vec::new();
        let mut spec = before;
        if let Some(source) = self.source {
            spec.source = source.check(&mut wrong).unwrap_or_default();
            // What is in another source is looked at anew.
            spec.language.clear();
            spec.framework = None;
            spec.service = ServiceSpec::default();
            if matches!(spec.source, Source::Image(_)) {
                spec.base_image = None;
            }
        }
        if let Some(language) = self.language {
            slug("language", &language, &mut wrong);
            spec.language = language;
            spec.framework = None;
        }
        if let Some(framework) = self.framework {
            slug("framework", &framework, &mut wrong);
            spec.framework = Some(framework);
        }
        if let Some(image) = self.base_image {
            spec.base_image = Some(image);
        }
        spec.limits = self.limits.unwrap_or_default().check(spec.limits, &mut wrong);
        if let Some(env) = self.env {
            spec.env = variables(env, &mut wrong);
        }
        let asked = ServiceSpec { port: self.port, health_path: self.health_path };
        spec.service = asked.or(&spec.service);
        let reason = reason(self.reason).map_err(|Wrong(more)| wrong.extend(more)).unwrap_or_default();
        let wrong = merged(wrong, told);
        if wrong.is_empty() { Ok((spec, reason)) } else { Err(wrong) }
    }
}
