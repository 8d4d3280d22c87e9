//! The trait of what builds images.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::RegistryCredentials;
use convergence_model::build::{BaseImage, BuildLine, Declared, ImageBuild};
use serde::{Deserialize, Serialize};

use crate::error::RuntimeError;
use crate::owned::OwnedItem;

/// Where lines of progress go. Called from the future that does the work, so it must not block.
pub type Progress<'a> = &'a mut (dyn FnMut(BuildLine) + Send);

/// On whose behalf an image is pulled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pull {
    /// What to log in to the registry with; nobody logs in where absent. Sent to the registry that they are for and to no other
    /// one.
    pub credentials: Option<RegistryCredentials>,
    /// Whether the registry has to let the image be pulled, also where the builder has it: it may have been pulled with somebody
    /// else's credentials.
    pub ask_registry: bool,
}

/// Builds images, and makes them available to the nodes that run them.
///
/// Every method may be called again after any error, and by another server at the same time. Besides the errors named at
/// each method, all may answer [`RuntimeError::Unreachable`], [`RuntimeError::Timeout`] and [`RuntimeError::Engine`].
#[async_trait]
pub trait Builder: Debug + Send + Sync {
    /// Whether it answers. Cheap: a millisecond.
    async fn ping(&self) -> Result<(), RuntimeError>;

    /// The id (`sha256:…`) of this image, or `None` where the builder does not have it. Pulls nothing.
    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError>;

    /// How this image says that it is run, or `None` where the builder does not have it. Pulls nothing.
    async fn declared(&self, reference: &str) -> Result<Option<Declared>, RuntimeError>;

    /// Looks a base image up, pulling it first where the builder does not have it or the registry is to be asked.
    ///
    /// # Errors
    /// [`RuntimeError::PullFailed`] where it is neither here nor can be pulled, or the registry is to be asked and refuses.
    async fn base_image(&self, reference: &str, pull: &Pull, progress: Progress<'_>)
    -> Result<BaseImage, RuntimeError>;

    /// Looks an image up as its registry has it now. Where that cannot be asked, and need not be, the one that the builder has is
    /// the one.
    ///
    /// # Errors
    /// As of [`Builder::base_image`].
    async fn newest_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError>;

    /// Builds an image, tags and labels it, and answers its id, `sha256:…`. An identical build is a cache hit.
    /// Dropping the future cancels the build.
    ///
    /// # Errors
    /// [`RuntimeError::BuildFailed`]; [`RuntimeError::Timeout`] past the limit of the builder's configuration.
    async fn build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError>;

    /// Makes an image that was built available to every node, and answers what the nodes call it: the value of
    /// [`Workload::image`](convergence_model::workload::Workload::image).
    ///
    /// Where nodes pull, it pushes and answers the image by digest (`registry.example/name@sha256:…`), so that every node
    /// runs the same bytes. On one engine the image is there already: it does nothing and answers the tag.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] where pushing needs the image and it is missing.
    async fn publish(&self, tag: &str) -> Result<String, RuntimeError>;

    /// Removes a tag of an image that an installation built, and the image where that was its last tag; also from where
    /// it was published to. An image may serve several tenants, so it belongs to none of them.
    async fn remove_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError>;

    /// Removes what the cache of builds has that no build used for so long, and then what was used longest ago until so many
    /// bytes are left. Answers the bytes that were freed. The cache is the engine's: it has what others built there too.
    async fn prune_cache(&self, keep_bytes: u64, unused_for: Duration) -> Result<u64, RuntimeError>;

    /// Every image with an installation's label, in the order of names: one item for each tag, and the id as the name of
    /// one without a tag.
    async fn owned_images(&self, instance: &str) -> Result<Vec<OwnedItem>, RuntimeError>;
}

/// What became of a request to remove an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ImageRemoval {
    /// It is gone.
    Removed,
    /// It was not there.
    Absent,
    /// A container or another image needs it; it was left.
    InUse,
    /// The installation did not build the image of that name; it was left.
    Foreign,
}
