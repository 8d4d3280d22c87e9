//! What is ours: everything of one installation, found by its label, and whether one thing is a tenant's.

use std::collections::{BTreeMap, HashMap};

use bollard::models;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
};
use convergence_model::workload::label;

use super::connect::Docker;
use crate::error::RuntimeError;
use crate::observed::State;
use crate::owned::{Owned, OwnedItem};
use crate::owner::Owner;

impl Docker {
    pub(super) async fn list_owned(&self, instance: &str) -> Result<Owned, RuntimeError> {
        let filters = &labelled(instance);
        let containers = self
            .call("list containers", |client| async move {
                let options = ListContainersOptionsBuilder::new().all(true).filters(filters).build();
                client.list_containers(Some(options)).await
            })
            .await
            .map_err(|fault| fault.into_error(self))?;
        let networks = self
            .call("list networks", |client| async move {
                client.list_networks(Some(ListNetworksOptionsBuilder::new().filters(filters).build())).await
            })
            .await
            .map_err(|fault| fault.into_error(self))?;
        let volumes = self
            .call("list volumes", |client| async move {
                client.list_volumes(Some(ListVolumesOptionsBuilder::new().filters(filters).build())).await
            })
            .await
            .map_err(|fault| fault.into_error(self))?;
        let mut owned = Owned {
            workloads: containers
                .into_iter()
                .map(|found| {
                    let id = found.id.unwrap_or_default();
                    let name = found.names.unwrap_or_default().into_iter().next();
                    let name = name.map(|name| name.trim_start_matches('/').to_owned());
                    let state = Some(found.state.map_or(State::Dead, summary_state));
                    OwnedItem { name: name.unwrap_or_else(|| id.clone()), id, state, labels: sorted(found.labels) }
                })
                .collect(),
            boundaries: networks
                .into_iter()
                .map(|found| OwnedItem {
                    name: found.name.unwrap_or_default(),
                    id: found.id.unwrap_or_default(),
                    state: None,
                    labels: sorted(found.labels),
                })
                .collect(),
            volumes: volumes
                .volumes
                .unwrap_or_default()
                .into_iter()
                .map(|found| OwnedItem {
                    id: found.name.clone(),
                    name: found.name,
                    state: None,
                    labels: sorted(Some(found.labels)),
                })
                .collect(),
        };
        for list in [&mut owned.workloads, &mut owned.boundaries, &mut owned.volumes] {
            list.sort();
        }
        Ok(owned)
    }

    pub(super) async fn list_owned_images(&self, instance: &str) -> Result<Vec<OwnedItem>, RuntimeError> {
        let filters = &labelled(instance);
        let images = self
            .call("list images", |client| async move {
                client.list_images(Some(ListImagesOptionsBuilder::new().filters(filters).build())).await
            })
            .await
            .map_err(|fault| fault.into_error(self))?;
        let mut owned: Vec<OwnedItem> = images
            .into_iter()
            .flat_map(|found| {
                let labels = sorted(Some(found.labels));
                let mut names: Vec<_> = found.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect();
                if names.is_empty() {
                    names.push(found.id.clone());
                }
                names.into_iter().map(move |name| OwnedItem {
                    name,
                    id: found.id.clone(),
                    state: None,
                    labels: labels.clone(),
                })
            })
            .collect();
        owned.sort();
        Ok(owned)
    }
}

fn labelled(instance: &str) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{}={instance}", label::INSTANCE)])])
}

fn summary_state(state: models::ContainerSummaryStateEnum) -> State {
    use models::ContainerSummaryStateEnum as Status;
    match state {
        Status::CREATED => State::Created,
        Status::RUNNING => State::Running,
        Status::PAUSED => State::Paused,
        Status::RESTARTING => State::Restarting,
        Status::REMOVING => State::Removing,
        Status::EXITED => State::Exited,
        _ => State::Dead,
    }
}

pub(super) fn sorted(labels: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    labels.unwrap_or_default().into_iter().collect()
}

/// Whether something was made by the same installation for the same tenant, and so may be replaced.
pub(super) fn belongs_with(found: Option<&HashMap<String, String>>, wanted: &BTreeMap<String, String>) -> bool {
    Owner::of(wanted).is_some_and(|owner| owner.owns(|key| found?.get(key)))
}
