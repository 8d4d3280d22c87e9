//! The volumes of the fake engine.

use std::collections::BTreeMap;

use convergence_model::workload::label;

use super::world::{Container, Labels, World, conflict, same_tenant};
use crate::error::RuntimeError;
use crate::owner::Owner;
use crate::runtime::{Ensured, Removal};

impl World {
    pub(super) fn ensure_volume(&mut self, name: &str, labels: &Labels) -> Result<Ensured, RuntimeError> {
        match self.volumes.get(name) {
            Some(had) if same_tenant(had, labels) => Ok(Ensured::Adopted),
            Some(_) => Err(conflict("volume", name, "it is not this tenant's")),
            None => {
                self.volumes.insert(name.to_owned(), labels.clone());
                Ok(Ensured::Created)
            }
        }
    }

    pub(super) fn remove_volume(&mut self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        let Some(labels) = self.volumes.get(name) else { return Ok(Removal::Absent) };
        if !owner.owns(|key| labels.get(key)) {
            return Ok(Removal::Foreign);
        }
        let mounted = |container: &Container| container.workload.volumes.iter().any(|mount| mount.volume == name);
        if self.containers.values().any(mounted) {
            return Err(conflict("volume", name, "it is in use"));
        }
        self.volumes.remove(name);
        self.filled.remove(name);
        Ok(Removal::Removed)
    }

    pub(super) fn volume_sizes(&self, instance: &str) -> BTreeMap<String, Option<u64>> {
        let ours = |labels: &Labels| labels.get(label::INSTANCE).is_some_and(|found| found == instance);
        let names = self.volumes.iter().filter(|(_, labels)| ours(labels)).map(|(name, _)| name);
        names.map(|name| (name.clone(), self.filled.get(name).copied().unwrap_or(Some(0)))).collect()
    }
}
