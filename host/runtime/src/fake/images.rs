//! The images of the fake engine.

use convergence_model::build::{BaseImage, Declared, ImageBuild};
use convergence_model::workload::label;

use super::world::{Image, Labels, World};
use crate::builder::{ImageRemoval, Pull};
use crate::owned::OwnedItem;

/// Every image says that it is run in the same way.
pub(super) fn declared() -> Declared {
    Declared { command: vec!["/entry".to_owned(), "serve".to_owned()], ports: vec![8081] }
}

impl World {
    pub(super) fn asked(&mut self, reference: &str, pull: &Pull) {
        self.pulls.push((reference.to_owned(), pull.clone()));
    }

    pub(super) fn pull(&mut self, reference: &str) {
        let id = format!("sha256:{}", self.tick().0);
        self.images.entry(reference.to_owned()).or_insert(Image { id, labels: Labels::new(), build: None });
    }

    pub(super) fn base(&mut self, reference: &str) -> (BaseImage, bool) {
        let pulled = !self.images.contains_key(reference);
        self.pull(reference);
        let id = self.images.get(reference).map(|image| image.id.clone()).unwrap_or_default();
        let base = BaseImage {
            reference: reference.to_owned(),
            pinned: reference.to_owned(),
            id,
            on_build: false,
            volumes: Vec::new(),
        };
        (base, pulled)
    }

    pub(super) fn build(&mut self, build: &ImageBuild) -> String {
        if let Some(image) = self.images.get(&build.tag) {
            return image.id.clone();
        }
        let id = format!("sha256:{}", self.tick().0);
        let image = Image { id: id.clone(), labels: build.labels.clone(), build: Some(build.clone()) };
        self.images.insert(build.tag.clone(), image);
        id
    }

    pub(super) fn remove_image(&mut self, reference: &str, instance: &str) -> ImageRemoval {
        let Some(image) = self.images.get(reference) else { return ImageRemoval::Absent };
        if image.labels.get(label::INSTANCE).is_none_or(|built_by| built_by != instance) {
            return ImageRemoval::Foreign;
        }
        if self.containers.values().any(|container| container.workload.image == reference) {
            return ImageRemoval::InUse;
        }
        self.images.remove(reference);
        ImageRemoval::Removed
    }

    pub(super) fn owned_images(&self, instance: &str) -> Vec<OwnedItem> {
        let ours = |image: &Image| image.labels.get(label::INSTANCE).is_some_and(|found| found == instance);
        let item = |(name, image): (&String, &Image)| OwnedItem {
            name: name.clone(),
            id: image.id.clone(),
            state: None,
            labels: image.labels.clone(),
        };
        self.images.iter().filter(|(_, image)| ours(image)).map(item).collect()
    }
}
