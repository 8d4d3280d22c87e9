//! Images: looking them up, removing them. Pulling them is in `pull.rs`.

use bollard::models;
use bollard::query_parameters::RemoveImageOptions;
use convergence_model::build::{BaseImage, BuildLine, Declared};
use convergence_model::workload::label;

use super::connect::{Docker, Fault};
use crate::builder::{ImageRemoval, Progress, Pull};
use crate::error::RuntimeError;

impl Docker {
    pub(super) async fn find_image(&self, reference: &str) -> Result<Option<models::ImageInspect>, RuntimeError> {
        let what = format!("inspect image {reference}");
        match self.call(&what, |client| async move { client.inspect_image(reference).await }).await {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Refused { status: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    pub(super) async fn resolve_base_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        if !pull.ask_registry
            && let Some(found) = self.find_image(reference).await?
        {
            return Ok(as_base(reference, found));
        }
        self.pull_image(reference, pull, progress).await
    }

    pub(super) async fn resolve_newest_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        if pull.ask_registry {
            return self.pull_image(reference, pull, progress).await;
        }
        let is_fixed = reference.contains('@');
        let here = self.find_image(reference).await?;
        if let Some(found) = here.as_ref().filter(|_| is_fixed) {
            return Ok(as_base(reference, found.clone()));
        }
        match (self.pull_image(reference, pull, progress).await, here) {
            (Err(RuntimeError::PullFailed { message, .. }), Some(found)) => {
                let text = format!("{reference} cannot be pulled, and the one that is here is used: {message}");
                progress(BuildLine { step: String::new(), text });
                Ok(as_base(reference, found))
            }
            (pulled, _) => pulled,
        }
    }

    async fn pull_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        progress(BuildLine { step: String::new(), text: format!("pulling {reference}") });
        let limit = self.config.pull_limit;
        match tokio::time::timeout(limit, self.pull(reference, pull, progress)).await {
            Ok(pulled) => pulled?,
            Err(_) => return Err(RuntimeError::Timeout { what: format!("pull {reference}"), after: limit }),
        }
        match self.find_image(reference).await? {
            Some(found) => Ok(as_base(reference, found)),
            None => Err(RuntimeError::PullFailed {
                reference: reference.to_owned(),
                message: "the engine says it was pulled, and does not have it".to_owned(),
            }),
        }
    }

    pub(super) async fn delete_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError> {
        let Some(found) = self.find_image(reference).await? else { return Ok(ImageRemoval::Absent) };
        let built_by = found.config.as_ref().and_then(|config| config.labels.as_ref()?.get(label::INSTANCE));
        if built_by.is_none_or(|built_by| built_by != instance) {
            return Ok(ImageRemoval::Foreign);
        }
        // By its tag and not its id, which would take the other tags along.
        let what = format!("remove image {reference}");
        let removed = self
            .call(&what, |client| async move { client.remove_image(reference, None::<RemoveImageOptions>, None).await })
            .await;
        match removed {
            Ok(_) => Ok(ImageRemoval::Removed),
            // Gone by now: somebody else was faster, or this is a second call after a lost reply.
            Err(Fault::Refused { status: 404, .. }) => Ok(ImageRemoval::Removed),
            Err(Fault::Refused { status: 409, .. }) => Ok(ImageRemoval::InUse),
            Err(fault) => Err(fault.into_error(self)),
        }
    }
}

/// How an image says that it is run.
pub(super) fn declared(found: models::ImageInspect) -> Declared {
    let config = found.config.unwrap_or_default();
    let command = [config.entrypoint, config.cmd].into_iter().flatten().flatten().collect();
    let port = |exposed: &String| exposed.strip_suffix("/tcp").unwrap_or(exposed).parse().ok();
    let mut ports: Vec<u16> = config.exposed_ports.iter().flatten().filter_map(port).collect();
    ports.sort_unstable();
    Declared { command, ports }
}

fn as_base(reference: &str, found: models::ImageInspect) -> BaseImage {
    let config = found.config.unwrap_or_default();
    let mut volumes = config.volumes.unwrap_or_default();
    volumes.sort();
    let repository = repository(reference);
    let digests = found.repo_digests.unwrap_or_default();
    // One image may have digests of several repositories: only that of the one asked for can be pulled again.
    let pinned = digests
        .iter()
        .find(|digest| digest.split('@').next().is_some_and(|name| familiar(name) == familiar(repository)))
        .cloned();
    BaseImage {
        reference: reference.to_owned(),
        pinned: pinned.unwrap_or_else(|| reference.to_owned()),
        id: found.id.unwrap_or_default(),
        on_build: config.on_build.is_some_and(|triggers| !triggers.is_empty()),
        volumes,
    }
}

/// A reference without its tag and digest.
fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

/// A repository as Docker abbreviates it.
fn familiar(repository: &str) -> &str {
    let name = repository.strip_prefix("docker.io/").unwrap_or(repository);
    name.strip_prefix("library/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    //! How references are read.

    use super::*;

    #[test]
    fn a_tag_is_not_mistaken_for_a_port() {
        assert_eq!(repository("node:22"), "node");
        assert_eq!(repository("registry.example:5000/node"), "registry.example:5000/node");
        assert_eq!(repository("registry.example:5000/node:22@sha256:ab"), "registry.example:5000/node");
    }

    #[test]
    fn an_image_declares_its_entry_point_before_its_command_and_its_tcp_ports() {
        let strings = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
        let config = models::ImageConfig {
            entrypoint: strings(&["/entry"]),
            cmd: strings(&["serve", "--all"]),
            exposed_ports: strings(&["9000/tcp", "53/udp", "80"]),
            ..Default::default()
        };
        let found = models::ImageInspect { config: Some(config), ..Default::default() };
        let Declared { command, ports } = declared(found);
        assert_eq!((command.join(" ").as_str(), ports), ("/entry serve --all", vec![80, 9000]));
        assert_eq!(declared(models::ImageInspect::default()), Declared::default());
    }

    #[test]
    fn pins_by_the_digest_of_the_repository_asked_for() {
        let image = |digests: &[&str]| models::ImageInspect {
            id: Some("sha256:1".to_owned()),
            repo_digests: Some(digests.iter().map(ToString::to_string).collect()),
            ..Default::default()
        };
        let both = image(&["mirror.example/node@sha256:aa", "node@sha256:bb"]);
        assert_eq!(as_base("docker.io/library/node:22", both).pinned, "node@sha256:bb");
        assert_eq!(as_base("local:1", image(&[])).pinned, "local:1");
    }
}
