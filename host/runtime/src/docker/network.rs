//! Boundaries: a bridge network of each tenant's own, on which containers cannot reach each other. Docker itself keeps the
//! traffic of one bridge from another.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use convergence_model::workload::{Boundary, NO_NEIGHBOURS, label};

use super::connect::{Docker, Fault};
use super::owned::belongs_with;
use super::routes::is_routed;
use crate::error::RuntimeError;
use crate::owner::Owner;
use crate::runtime::{Ensured, Removal};

/// How often, and with which pause, one of our own networks is looked for whose addresses are taken. Making one takes the
/// engine less than a tenth of a second; a busy one takes longer.
const LOOKS: u32 = 15;
const PAUSE: Duration = Duration::from_millis(200);

impl Docker {
    pub(super) async fn make_sure_of_boundary(
        &self,
        boundary: &Boundary,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        let mut existing = self.networks_named(&boundary.name).await?;
        let fitting = existing.iter().position(|found| is_shaped(found, boundary) && is_labelled(found, labels));
        let kept = fitting.map(|index| existing.swap_remove(index));
        let replaces = !existing.is_empty();
        // The engine allows a name twice, and then refuses it everywhere: keep one.
        for found in existing {
            if !belongs_with(found.labels.as_ref(), labels) {
                return Err(RuntimeError::Conflict {
                    what: format!("network {}", boundary.name),
                    message: "a network of that name exists and is not this tenant's".to_owned(),
                });
            }
            self.delete_network_id(&found.id.unwrap_or_default(), &boundary.name).await?;
        }
        if kept.is_some() {
            return Ok(Ensured::Adopted);
        }
        let subnet = boundary.addresses.map(|addresses| addresses.to_string());
        let request = &models::NetworkCreateRequest {
            name: boundary.name.clone(),
            driver: Some("bridge".to_owned()),
            // Without addresses leased for it, Docker takes some of its own pool, which is small.
            ipam: subnet.clone().map(|subnet| models::Ipam {
                driver: Some("default".to_owned()),
                config: Some(vec![models::IpamConfig { subnet: Some(subnet), ..Default::default() }]),
                options: None,
            }),
            enable_ipv6: Some(false),
            options: Some(HashMap::from([(NO_NEIGHBOURS.0.to_owned(), NO_NEIGHBOURS.1.to_owned())])),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        let what = format!("create network {}", boundary.name);
        let is_taken = self.is_of_this_machine() && boundary.addresses.is_some_and(is_routed);
        let made = if is_taken {
            None
        } else {
            Some(self.call(&what, |client| async move { client.create_network(request.clone()).await }).await)
        };
        match made {
            Some(Ok(_)) if replaces => Ok(Ensured::Replaced),
            Some(Ok(_)) => Ok(Ensured::Created),
            Some(Err(fault)) if !fault.is_overlap() => Err(fault.into_error(self)),
            None | Some(Err(_)) => {
                // A create whose reply was lost, because the connection or this very program ended, overlaps with itself. The
                // engine takes the addresses first and shows the network when it is done.
                for _ in 0..LOOKS {
                    let found = self.networks_named(&boundary.name).await?;
                    if found.iter().any(|found| is_shaped(found, boundary) && is_labelled(found, labels)) {
                        return Ok(Ensured::Created);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(RuntimeError::SubnetTaken { subnet: subnet.unwrap_or_default() })
            }
        }
    }

    /// Removes every network of that name, or of that id, that is the owner's.
    pub(super) async fn delete_boundary(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        let mut removal = Removal::Absent;
        let mut all = self.networks_named(name).await?;
        if all.is_empty() {
            all = self.networks_of_id(name).await?;
        }
        for found in all {
            let labels = found.labels.as_ref();
            if owner.owns(|key| labels?.get(key)) {
                self.delete_network_id(&found.id.unwrap_or_default(), name).await?;
                removal = Removal::Removed;
            } else if removal == Removal::Absent {
                removal = Removal::Foreign;
            }
        }
        Ok(removal)
    }

    async fn delete_network_id(&self, id: &str, name: &str) -> Result<(), RuntimeError> {
        match self
            .call(&format!("remove network {name}"), |client| async move { client.remove_network(id).await })
            .await
        {
            Ok(()) | Err(Fault::Refused { status: 404, .. }) => Ok(()),
            Err(Fault::Refused { status: 403, message }) => {
                Err(RuntimeError::Conflict { what: format!("network {name}"), message })
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<models::Network>, RuntimeError> {
        // The filter finds parts of names too.
        let found = self.networks("name", name).await?;
        Ok(found.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
    }

    /// The network of this id, if there is one.
    async fn networks_of_id(&self, id: &str) -> Result<Vec<models::Network>, RuntimeError> {
        let found = self.networks("id", id).await?;
        Ok(found.into_iter().filter(|network| network.id.as_deref() == Some(id)).collect())
    }

    pub(super) async fn networks(&self, filter: &str, value: &str) -> Result<Vec<models::Network>, RuntimeError> {
        let filters = &HashMap::from([(filter.to_owned(), vec![value.to_owned()])]);
        self.call("list networks", |client| async move {
            client.list_networks(Some(ListNetworksOptionsBuilder::new().filters(filters).build())).await
        })
        .await
        .map_err(|fault| fault.into_error(self))
    }
}

impl Fault {
    /// Whether the addresses of a network are another network's.
    fn is_overlap(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("overlap"))
    }
}

fn is_shaped(found: &models::Network, wanted: &Boundary) -> bool {
    let subnets: Vec<_> = found
        .ipam
        .iter()
        .flat_map(|ipam| ipam.config.iter().flatten())
        .map(|config| config.subnet.as_deref())
        .collect();
    let option = found.options.as_ref().and_then(|options| options.get(NO_NEIGHBOURS.0));
    found.driver.as_deref() == Some("bridge")
        && found.internal != Some(true)
        && wanted.addresses.is_none_or(|addresses| subnets == [Some(addresses.to_string().as_str())])
        && option.map(String::as_str) == Some(NO_NEIGHBOURS.1)
}

/// Whether all labels asked for are there. Those of an operation and a revision may differ: a network is the tenant's through
/// all of them.
fn is_labelled(found: &models::Network, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .filter(|(key, _)| ![label::OPERATION, label::REVISION].contains(&key.as_str()))
        .all(|(key, value)| found.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value))
}
