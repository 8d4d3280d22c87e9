//! Applications that bring their image, by its name or by a Dockerfile of their own: no template is asked how to build them, and
//! what is run is what the image says, within the same walls as everything else.

use std::collections::BTreeMap;
use std::sync::Arc;

use convergence_model::plan::{Base, BuildPlan, File, Health, Probe, Service, Stage};
use convergence_model::spec::{DOCKERFILE, IMAGE};
use convergence_model::{OrgId, ServiceSpec, Source, TenantSpec, Violation};
use convergence_render::guard::STAGES_MAX;
use convergence_render::{Bases, GuardedPlan, OwnDockerfile};
use convergence_source::DockerIgnore;

use crate::recognize::{Application, blocking};
use crate::{PlanError, Provisioner};

/// The name of the file, where `convergence.toml` names no other.
pub(crate) const FILE: &str = "Dockerfile";

impl Provisioner {
    /// The plan of an application that brings its image; none of one that a template builds.
    pub(crate) async fn own_plan(
        &self,
        spec: &TenantSpec,
        application: Option<&Application>,
    ) -> Result<Option<BuildPlan>, PlanError> {
        match (&spec.source, application) {
            (Source::Image(reference), _) => {
                self.refuse_image("source.image", reference)?;
                let note = format!("The image `{reference}` is run as it is; no template is asked.");
                Ok(Some(plan(&[reference], &spec.service, note)))
            }
            (_, Some(application)) if spec.language == DOCKERFILE => {
                if !self.settings.own_dockerfile {
                    let message = "this server builds no Dockerfiles of applications; name another language, or ask the \
                                   operator to set `own-dockerfile = true` in [build]";
                    return Err(refused("language", "not-allowed", message));
                }
                refuse_options(
                    spec,
                    "it is built as its own Dockerfile says; leave this out, or name another language",
                )?;
                let (name, own) = application.own_dockerfile().await?;
                let named = own.images();
                let mut wrong: Vec<Violation> = Vec::new();
                for (image, line) in &named {
                    wrong.extend(self.not_allowed(&format!("{name}:{line}"), image));
                }
                if named.len() > STAGES_MAX {
                    let message = format!("it names {} images; at most {STAGES_MAX} are allowed", named.len());
                    wrong.push(Violation::deny(format!("{name}:1"), "too-many", message));
                }
                if !wrong.is_empty() {
                    return Err(PlanError::Refused(wrong));
                }
                let images: Vec<&str> = named.into_keys().collect();
                let note = format!("The image of `{name}` runs as user 10001 on a read-only root filesystem.");
                Ok(Some(plan(&images, &spec.service.or(&application.service()), note)))
            }
            _ => Ok(None),
        }
    }

    /// What an image of a plan is built from.
    pub(crate) async fn build_files(
        &self,
        org: OrgId,
        spec: &TenantSpec,
        plan: &GuardedPlan,
        bases: &Bases,
    ) -> Result<BuildFiles, PlanError> {
        if !spec.brings_image() || spec.language != DOCKERFILE {
            return Ok(BuildFiles {
                dockerfile: convergence_render::dockerfile(plan, bases, &self.dockerfile_options()),
                context: convergence_render::context(plan, self.settings.ca_bundle.as_deref()),
                args: BTreeMap::new(),
                source_at_root: false,
            });
        }
        let application = self.application(org, &spec.source).await?;
        let application = application.ok_or_else(|| refused("language", "no-dockerfile", "there is no source"))?;
        let (_, own) = application.own_dockerfile().await?;
        Ok(BuildFiles {
            dockerfile: own.render(plan, bases).map_err(|wrong| PlanError::Refused(vec![wrong]))?,
            context: Vec::new(),
            args: application.args().clone(),
            source_at_root: true,
        })
    }

    /// Refuses an image that the operator does not allow.
    pub(crate) fn refuse_image(&self, path: &str, image: &str) -> Result<(), PlanError> {
        self.not_allowed(path, image).map_or(Ok(()), |wrong| Err(PlanError::Refused(vec![wrong])))
    }

    fn not_allowed(&self, path: &str, image: &str) -> Option<Violation> {
        let refused = self.settings.images.resolve(image).err()?;
        Some(Violation::deny(path, refused.code(), refused.to_string()))
    }
}

/// What an image is built from, besides the application's source.
pub(crate) struct BuildFiles {
    pub(crate) dockerfile: String,
    pub(crate) context: Vec<File>,
    /// Values of the Dockerfile's `ARG`s.
    pub(crate) args: BTreeMap<String, String>,
    /// Whether the source lies at the root of the context, without what its `.dockerignore` excludes.
    pub(crate) source_at_root: bool,
}

/// The spec of an application that is an image already: what only a template could use is refused.
pub(crate) fn of_image(mut spec: TenantSpec) -> Result<TenantSpec, PlanError> {
    const WHY: &str = "an image is run as it is; leave this out";
    if !matches!(spec.language.as_str(), "" | IMAGE) {
        return Err(refused("language", "not-with-image", WHY));
    }
    refuse_options(&spec, WHY)?;
    spec.language = IMAGE.to_owned();
    Ok(spec)
}

/// Refuses what only a template could use.
fn refuse_options(spec: &TenantSpec, why: &str) -> Result<(), PlanError> {
    let asked = [("framework", spec.framework.is_some()), ("baseImage", spec.base_image.is_some())];
    match asked.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((field, _)) => Err(refused(field, "not-with-image", why)),
        None => Ok(()),
    }
}

impl Application {
    /// Its own Dockerfile, and what that is called.
    pub(crate) async fn own_dockerfile(&self) -> Result<(String, OwnDockerfile), PlanError> {
        let said = self.manifest().build.dockerfile.as_deref();
        let name = said.map_or(FILE, |said| said.strip_prefix("./").unwrap_or(said)).to_owned();
        let (source, path) = (Arc::clone(self.source()), name.clone());
        let read = move || Ok((source.text(&path)?, source.text(DockerIgnore::FILE)?.unwrap_or_default()));
        let (text, ignore) = blocking(read).await?;
        let Some(text) = text else {
            let message = format!(
                "the application has no readable file {name:?}; correct `dockerfile` in [build] of convergence.toml, or choose another language"
            );
            return Err(refused(
                if said.is_some() { "convergence.toml" } else { "language" },
                "no-dockerfile",
                &message,
            ));
        };
        DockerIgnore::parse(&ignore).map_err(|wrong| refused(DockerIgnore::FILE, "unreadable", &wrong))?;
        let own = OwnDockerfile::parse(&name, &text, self.args()).map_err(PlanError::Refused)?;
        Ok((name, own))
    }

    /// The values of the `ARG`s of its own Dockerfile.
    pub(crate) fn args(&self) -> &BTreeMap<String, String> {
        &self.manifest().build.args
    }
}

/// A plan that leaves to the image what is run, with a stage for each image that is looked up before the build.
fn plan(images: &[&str], service: &ServiceSpec, note: String) -> BuildPlan {
    let stage = |(index, image): (usize, &&str)| Stage {
        name: format!("image-{index}"),
        base: Base::Image((*image).to_owned()),
        steps: Vec::new(),
    };
    let probe = service.health_path.clone().map_or(Probe::Tcp, Probe::Http);
    BuildPlan {
        files: Vec::new(),
        stages: images.iter().enumerate().map(stage).collect(),
        service: Service {
            command: Vec::new(),
            release_command: None,
            port: service.port.unwrap_or(0),
            health: Health {
                probe,
                in_container: None,
                interval_seconds: 30,
                timeout_seconds: 5,
                retries: 3,
                start_period_seconds: 10,
            },
            env: Vec::new(),
            writable: Vec::new(),
            volumes: Vec::new(),
            stop_signal: None,
            stop_grace_seconds: 10,
            min_memory_mb: 0,
            extra: Vec::new(),
        },
        notes: vec![note],
        extra: Vec::new(),
    }
}

fn refused(path: &str, code: &str, message: &str) -> PlanError {
    PlanError::Refused(vec![Violation::deny(path, code, message)])
}
