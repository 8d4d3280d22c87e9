//! What an application is: what it says of itself, and what the templates see in its source.

use std::io;
use std::sync::Arc;

use convergence_model::plan::{Detection, PlanRequest, Source as View};
use convergence_model::spec::{DOCKERFILE, TenantSpec};
use convergence_model::{OrgId, ServiceSpec, Source, Violation};
use convergence_plugin::{ActiveTemplate, PluginFailure, Snapshot};
use convergence_source::KeptSource;
use futures_util::future::join_all;

use crate::manifest::{Manifest, ManifestError, ServiceTable};
use crate::{PlanError, Provisioner, own};

/// An application of a tenant's own.
pub(crate) struct Application {
    source: Arc<KeptSource>,
    manifest: Manifest,
}

impl Provisioner {
    /// The application of a source that its organization has; none of a starter and of an image.
    pub(crate) async fn application(&self, org: OrgId, source: &Source) -> Result<Option<Application>, PlanError> {
        let Some(digest) = source.digest() else { return Ok(None) };
        let kept = match self.store.has_source(org, digest).await? {
            true => self.sources.get(digest).await?,
            false => None,
        };
        let Some(kept) = kept else {
            let message =
                format!("there is no source {digest}; upload the archive (again) and use the digest in the answer");
            return Err(PlanError::Refused(vec![Violation::deny("source.archive", "unknown-source", message)]));
        };
        let source = Arc::new(kept);
        let read = Arc::clone(&source);
        let manifest = blocking(move || Ok(Manifest::read(&read))).await?;
        match manifest {
            Ok(manifest) => Ok(Some(Application { source, manifest })),
            Err(ManifestError::Wrong(violation)) => Err(PlanError::Refused(vec![violation])),
            Err(ManifestError::Unreadable(error)) => Err(error.into()),
        }
    }
}

impl Application {
    /// Decides what the request leaves open: the language, if it names none, and the framework. Fills in of the request
    /// what the application says of itself. Answers the spec as decided, and why, human-readable.
    pub(crate) async fn decide(
        &self,
        plugged: &Snapshot,
        mut spec: TenantSpec,
        request: &mut PlanRequest,
        own_dockerfile: bool,
    ) -> Result<(TenantSpec, Vec<String>), PlanError> {
        let mut told = Vec::new();
        request.processes = self.manifest.processes();
        request.build_args = self.manifest.build_args();
        let asked_framework = spec.framework.clone();
        // The framework of another language is none of this one's.
        let is_of_language =
            spec.language.is_empty() || self.manifest.language.as_ref().is_none_or(|it| *it == spec.language);
        if spec.framework.is_none()
            && is_of_language
            && let Some(framework) = &self.manifest.framework
        {
            told.push(format!("Framework `{framework}`: convergence.toml says so."));
            spec.framework = Some(framework.clone());
        }
        request.framework.clone_from(&spec.framework);
        if !spec.language.is_empty() {
            return Ok((spec, told));
        }
        if let Some(language) = &self.manifest.language {
            told.push(format!("Language `{language}`: convergence.toml says so."));
            spec.language.clone_from(language);
            return Ok((spec, told));
        }
        let dockerfile = self.manifest.build.dockerfile.as_deref();
        let named = dockerfile.or_else(|| self.source.has_file(own::FILE).then_some(own::FILE));
        if let Some(name) = named {
            // What convergence.toml names is wanted, also where it is refused.
            if own_dockerfile || dockerfile.is_some() {
                let note = format!("Built from its own `{name}`; name a language to have a template build it.");
                spec.language = DOCKERFILE.to_owned();
                // What convergence.toml says of a framework is for a template, and is not told of either.
                spec.framework = asked_framework;
                return Ok((spec, vec![note]));
            }
            told.push(format!("`{name}` is not used: this server builds no Dockerfiles of applications."));
        }
        let (found, others) = self.recognize(plugged, request).await?;
        let Detection { language, framework, reason, .. } = found;
        let framework = framework.map_or_else(String::new, |framework| format!(" with `{framework}`"));
        told.push(format!("Recognized as `{language}`{framework}: {reason}."));
        told.extend(others.into_iter().map(|other| {
            let Detection { language, reason, .. } = other;
            format!("It could also be `{language}`: {reason}. Name the language to build it as that.")
        }));
        spec.language = language;
        Ok((spec, told))
    }

    pub(crate) fn source(&self) -> &Arc<KeptSource> {
        &self.source
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How it says itself that it answers.
    pub(crate) fn service(&self) -> ServiceSpec {
        let ServiceTable { port, health } = &self.manifest.service;
        ServiceSpec { port: *port, health_path: health.clone() }
    }

    /// The source as a template sees it.
    pub(crate) async fn seen_by(&self, template: Option<&ActiveTemplate>) -> Result<View, PlanError> {
        let wants = template.map_or_else(Vec::new, |template| template.wants().to_vec());
        let source = Arc::clone(&self.source);
        Ok(blocking(move || source.view(&wants)).await?)
    }

    /// What the templates take it for: the surest one, and the others.
    async fn recognize(
        &self,
        plugged: &Snapshot,
        request: &PlanRequest,
    ) -> Result<(Detection, Vec<Detection>), PlanError> {
        let asked = plugged.active_templates().iter().map(|template| self.ask(template, request));
        let (mut found, mut failed): (Vec<Detection>, Vec<PlanError>) = Default::default();
        for answer in join_all(asked).await {
            match answer {
                Ok(Some(detection)) => found.push(detection),
                Ok(None) => {}
                Err(error) => failed.push(error),
            }
        }
        found.sort_by_key(|detection| std::cmp::Reverse(detection.confidence));
        let refuse =
            |code: &str, message: String| Err(PlanError::Refused(vec![Violation::deny("language", code, message)]));
        match found.as_slice() {
            [] => match failed.pop() {
                Some(error) => Err(error),
                None => {
                    let dockerfile = match self.source.has_file(own::FILE) {
                        true => ". Its Dockerfile is not used: this server builds no Dockerfiles of applications",
                        false => "",
                    };
                    let message = format!(
                        "no template recognizes the application; the languages are {}. Name one with `language`, or check \
                         that the archive has the application's files at its root{dockerfile}",
                        plugged.languages().join(", ")
                    );
                    refuse("not-recognized", message)
                }
            },
            [first, second, ..] if first.confidence == second.confidence => refuse(
                "ambiguous",
                format!(
                    "the application is `{}` ({}) as well as `{}` ({}); name the one to build with `language`",
                    first.language, first.reason, second.language, second.reason
                ),
            ),
            [first, others @ ..] => Ok((first.clone(), others.to_vec())),
        }
    }

    async fn ask(&self, template: &ActiveTemplate, request: &PlanRequest) -> Result<Option<Detection>, PlanError> {
        let source = Some(self.seen_by(Some(template)).await?);
        let detected: Result<_, PluginFailure> = template.detect(PlanRequest { source, ..request.clone() }).await;
        let found = detected.inspect_err(|error| tracing::warn!(%error, "a template could not look at a source"))?;
        let is_served = |detection: &Detection| template.languages().iter().any(|it| it.name == detection.language);
        Ok(found.filter(|detection| {
            let is_served = is_served(detection);
            if !is_served {
                tracing::warn!(
                    template = template.id(),
                    language = detection.language,
                    "a template recognized a language that it does not serve"
                );
            }
            is_served
        }))
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
