//! What a runtime has of one installation, found by its label.

use std::collections::BTreeMap;

use crate::observed::State;
use crate::owner::Owner;

/// Everything of one installation in a runtime, by its label; images are with the builder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owned {
    /// Workloads, running or not: containers, services, deployments. One that somebody copied with its labels is here as
    /// well, under the name that it has.
    pub workloads: Vec<OwnedItem>,
    /// Boundaries: networks, namespaces.
    pub boundaries: Vec<OwnedItem>,
    /// Volumes.
    pub volumes: Vec<OwnedItem>,
}

impl Owned {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.workloads.is_empty() && self.boundaries.is_empty() && self.volumes.is_empty()
    }
}

/// Something of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnedItem {
    /// Its name now, which somebody may have changed.
    pub name: String,
    /// The engine's id, which nobody can change; a volume's is its name. Every method takes it in place of a name.
    pub id: String,
    /// What it is doing; `None` of what does nothing.
    pub state: Option<State>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl OwnedItem {
    /// Whose it is; `None` of an image, which belongs to no tenant.
    pub fn owner(&self) -> Option<Owner<'_>> {
        Owner::of(&self.labels)
    }
}
