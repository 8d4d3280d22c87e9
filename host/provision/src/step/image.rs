//! Builds the image, unless one with the same hash of everything that goes in exists already.

use std::collections::BTreeMap;

use async_trait::async_trait;
use convergence_model::build::ImageBuild;
use convergence_model::tenant::Built;
use convergence_model::workload::label;
use convergence_render::{Bases, GuardedPlan};
use convergence_runtime::Runtime;

use super::{Step, StepError};
use crate::work::Work;

pub(crate) struct Image;

#[async_trait]
impl Step for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    async fn act(&self, work: &Work<'_>) -> Result<(), StepError> {
        if let Some(built) = &work.revision.built
            && work.runtime().image_id(&built.tag).await?.is_some()
        {
            return Ok(());
        }
        let plan = work.plan()?;
        let bases = self.bases(work, &plan).await?;
        let provisioner = work.provisioner;
        let prefix = &provisioner.settings.name_prefix;
        let dockerfile = convergence_render::dockerfile(&plan, &bases, &provisioner.dockerfile_options());
        let context = convergence_render::context(&plan, provisioner.settings.ca_bundle.as_deref());
        let tag = convergence_render::image_tag(prefix, work.tenant.org, &dockerfile, &context, bases.values());
        let image_id = match work.runtime().image_id(&tag).await? {
            Some(id) => id,
            None => {
                let build = ImageBuild {
                    tag: tag.clone(),
                    dockerfile: dockerfile.clone(),
                    context,
                    labels: BTreeMap::from([
                        (label::INSTANCE.to_owned(), provisioner.settings.instance.clone()),
                        (label::ORGANIZATION.to_owned(), work.tenant.org.to_string()),
                    ]),
                    cache_namespace: ImageBuild::cache_namespace_of(prefix, work.tenant.org),
                };
                let runtime: &dyn Runtime = work.runtime();
                work.with_progress(self.name(), |lines| async move {
                    // A full channel means the history cannot keep up; the build does not wait for it.
                    runtime.build(&build, &mut move |line| drop(lines.try_send(line))).await
                })
                .await?
            }
        };
        let built = Built { tag, image_id, dockerfile, bases: bases.into_values().collect() };
        Ok(work.store().revision_built(&work.lease, work.revision.number, &built).await?)
    }

    async fn undo(&self, work: &Work<'_>) -> Result<(), StepError> {
        super::removal::remove_images(work).await
    }
}

impl Image {
    /// Every image the plan starts from, as the template named it, looked up (and pulled) as it resolves here.
    async fn bases(&self, work: &Work<'_>, plan: &GuardedPlan) -> Result<Bases, StepError> {
        let mut bases = Bases::new();
        let runtime: &dyn Runtime = work.runtime();
        for (asked, reference) in plan.images() {
            let base = work
                .with_progress(self.name(), |lines| async move {
                    runtime.base_image(reference, &mut move |line| drop(lines.try_send(line))).await
                })
                .await?;
            convergence_render::guard::base_image(&base)
                .map_err(|violations| StepError::BaseRefused { reference: asked.clone(), violations })?;
            bases.insert(asked.clone(), base);
        }
        Ok(bases)
    }
}
