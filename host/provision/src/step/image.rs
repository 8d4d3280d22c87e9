//! Builds the image, unless one with the same hash of everything that goes in exists already.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::Source;
use convergence_model::build::{BaseImage, Declared, ImageBuild};
use convergence_model::tenant::Built;
use convergence_model::workload::label;
use convergence_render::guard::{ARG_BYTES_MAX, ARGS_MAX};
use convergence_render::{Bases, GuardedPlan};
use convergence_runtime::{Pull, RuntimeError};
use convergence_source::{BuildContext, KeptSource};

use super::{Step, StepError};
use convergence_work::WorkSettings;

use crate::own::BuildFiles;
use crate::work::Work;
use crate::{PlanError, Settings};

pub(crate) struct Image;

#[async_trait]
impl Step for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        // Read again: this step may be done once more within the same operation.
        let revision = work.store().revision(&Work::scope(), work.tenant()?.id, work.revision()?.number).await?;
        if let Some(built) = revision.and_then(|revision| revision.built) {
            // Cut off after the build; or the image was removed by hand, and is made again from the same text.
            if work.builder()?.image_id(&built.tag).await?.is_none() {
                let files = self.files(work, &Bases::new()).await?;
                self.pull_again(work, &built).await?;
                self.build(work, &built.tag, BuildFiles { dockerfile: built.dockerfile.clone(), ..files }).await?;
                let again = Built { published: self.publish(work, &built.tag).await?, ..built.clone() };
                if again != built {
                    // Says that what was built never changes: the nodes would run something else.
                    work.store().revision_built(work.hold.lease(), work.revision()?.number, &again).await?;
                }
            }
            return Ok(());
        }
        let plan = work.plan()?;
        let bases = self.bases(work, &plan).await?;
        let files = self.files(work, &bases).await?;
        let (prefix, org) = (&work.provisioner.settings.name_prefix, work.operation.org);
        let source = work.revision()?.spec.source.digest();
        let dockerfile = files.dockerfile.clone();
        let tag = convergence_render::image_tag(prefix, org, &dockerfile, &files.context, source, bases.values());
        let now = work.provisioner.clock.now();
        work.store().revision_building(work.hold.lease(), work.revision()?.number, &tag, now).await?;
        let image_id = match work.builder()?.image_id(&tag).await? {
            Some(id) => id,
            None => self.build(work, &tag, files).await?,
        };
        let declared = self.declared(work, &plan, &tag).await?;
        let published = self.publish(work, &tag).await?;
        let built = Built { tag, published, image_id, dockerfile, bases: bases.into_values().collect(), declared };
        Ok(work.store().revision_built(work.hold.lease(), work.revision()?.number, &built).await?)
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        super::removal::remove_image(work).await
    }

    /// The runtime bounds the build and what is pulled before it.
    fn limit(&self, settings: &Settings, work: &WorkSettings) -> Duration {
        settings.image_limit() + work.step_limit
    }

    /// Dropping a build cancels it, and the engine keeps the layers that are done.
    fn can_be_interrupted(&self) -> bool {
        true
    }
}

impl Image {
    /// What the image is built from.
    async fn files(&self, work: &Work<'_>, bases: &Bases) -> Result<BuildFiles, StepError> {
        let (org, spec) = (work.operation.org, &work.revision()?.spec);
        let files = work.provisioner.build_files(org, spec, &work.plan()?, bases).await;
        files.map_err(|error| match error {
            PlanError::Refused(violations) => StepError::PlanRefused(violations),
            PlanError::Source(error) => StepError::Source(error),
            PlanError::Store(error) => error.into(),
            other => StepError::Source(std::io::Error::other(other.to_string())),
        })
    }

    /// What the image says of how it is run, where the plan leaves that to it.
    async fn declared(&self, work: &Work<'_>, plan: &GuardedPlan, tag: &str) -> Result<Option<Declared>, StepError> {
        if !plan.plan().service.command.is_empty() {
            return Ok(None);
        }
        let declared = work.builder()?.declared(tag).await?.unwrap_or_default();
        let bytes = declared.command.iter().map(String::len).sum::<usize>();
        match declared.command.len() {
            0 => Err(StepError::NothingToRun),
            args if args > ARGS_MAX || bytes > ARG_BYTES_MAX => Err(StepError::CommandTooLong { args, bytes }),
            _ => Ok(Some(declared)),
        }
    }

    /// Builds the image and answers its id.
    async fn build(&self, work: &Work<'_>, tag: &str, files: BuildFiles) -> Result<String, StepError> {
        let (settings, org) = (&work.provisioner.settings, work.operation.org);
        let sources = &work.provisioner.sources;
        let kept = match work.revision()?.spec.source.digest() {
            None => None,
            Some(digest) => {
                let kept = sources.get(digest).await.map_err(StepError::Source)?;
                Some(kept.ok_or_else(|| StepError::SourceGone { digest: digest.clone() })?)
            }
        };
        // Removed from the disk when the build is over.
        let at_root = match &kept {
            Some(kept) if files.source_at_root => Some(sources.context(kept).await.map_err(StepError::Source)?),
            _ => None,
        };
        let source = at_root.as_ref().map(BuildContext::tar).or(kept.as_ref().map(KeptSource::tar));
        let build = ImageBuild {
            tag: tag.to_owned(),
            source: source.cloned(),
            args: files.args,
            dockerfile: files.dockerfile,
            context: files.context,
            labels: BTreeMap::from([
                (label::INSTANCE.to_owned(), settings.instance.clone()),
                (label::ORGANIZATION.to_owned(), org.to_string()),
            ]),
            cache_namespace: ImageBuild::cache_namespace_of(&settings.name_prefix, org),
        };
        let builder = work.builder()?;
        let built = work
            .with_progress(self.name(), |lines| async move {
                // A full channel means the history cannot keep up; the build does not wait for it.
                builder.build(&build, &mut move |line| drop(lines.try_send(line))).await
            })
            .await;
        match built {
            // What was too slow for the whole of its time is not built again and again.
            Err(StepError::Runtime(RuntimeError::Timeout { after, .. })) if after >= settings.build_limit => {
                Err(StepError::BuildTooLong { limit: settings.build_limit })
            }
            built => built,
        }
    }

    /// Makes the image available to the nodes; answers what they call it, where that is not its tag.
    async fn publish(&self, work: &Work<'_>, tag: &str) -> Result<Option<String>, StepError> {
        let image = work.builder()?.publish(tag).await?;
        Ok((image != tag).then_some(image))
    }

    /// Every image the plan starts from, as the template named it, looked up (and pulled) as it resolves here.
    async fn bases(&self, work: &Work<'_>, plan: &GuardedPlan) -> Result<Bases, StepError> {
        let mut bases = Bases::new();
        let provisioner = work.provisioner;
        // An image that somebody else builds is asked for to get what is there now.
        let newest = matches!(work.revision()?.spec.source, Source::Image(_));
        for (asked, reference) in plan.images() {
            let base = loop {
                let pull = provisioner.pull_of(work.operation.org, asked, reference).await?;
                let base = self.base(work, reference, &pull, newest).await?;
                // Another organization's private image may have come into the engine meanwhile.
                let is_still_public = async || -> Result<bool, StepError> {
                    Ok(!provisioner.pull_of(work.operation.org, asked, reference).await?.ask_registry)
                };
                if pull.ask_registry || is_still_public().await? {
                    break base;
                }
            };
            convergence_render::guard::base_image(&base)
                .map_err(|violations| StepError::BaseRefused { reference: asked.clone(), violations })?;
            bases.insert(asked.clone(), base);
        }
        Ok(bases)
    }

    /// Looks an image up, and pulls it where that is needed. From the moment the engine may have it, it is known to be private.
    async fn base(&self, work: &Work<'_>, reference: &str, pull: &Pull, newest: bool) -> Result<BaseImage, StepError> {
        let remembered = work.provisioner.remember_pull(reference, pull).await?;
        let base = self.look_up(work, reference, pull, newest).await;
        if let (Err(_), Some(repository)) = (&base, remembered) {
            work.provisioner.forget_pull(reference, &repository).await?;
        }
        base
    }

    async fn look_up(
        &self,
        work: &Work<'_>,
        reference: &str,
        pull: &Pull,
        newest: bool,
    ) -> Result<BaseImage, StepError> {
        let builder = work.builder()?;
        work.with_progress(self.name(), |lines| async move {
            let mut tell = move |line| drop(lines.try_send(line));
            if newest {
                builder.newest_image(reference, pull, &mut tell).await
            } else {
                builder.base_image(reference, pull, &mut tell).await
            }
        })
        .await
    }

    /// Brings back what an image was built from and only the organization may pull: a build has no credentials.
    async fn pull_again(&self, work: &Work<'_>, built: &Built) -> Result<(), StepError> {
        for base in &built.bases {
            let pull = work.provisioner.pull_of(work.operation.org, &base.reference, &base.pinned).await?;
            if pull.credentials.is_some() {
                // The organization built from it before, and may have it where it is there.
                work.provisioner.remember_pull(&base.pinned, &pull).await?;
                let pull = Pull { ask_registry: false, ..pull };
                self.look_up(work, &base.pinned, &pull, false).await?;
            }
        }
        Ok(())
    }
}
