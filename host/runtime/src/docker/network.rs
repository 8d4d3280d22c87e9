//! Networks of tenants' own.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use convergence_model::workload::{Network, label};

use super::connect::{Docker, Fault};
use super::owned::belongs_with;
use crate::error::RuntimeError;
use crate::owner::Owner;
use crate::runtime::{Ensured, Removal};

/// How often, and with which pause, one of our own networks is looked for whose addresses are taken. Making one takes the
/// engine less than a tenth of a second; a busy one takes longer.
const LOOKS: u32 = 15;
const PAUSE: Duration = Duration::from_millis(200);

impl Docker {
    pub(super) async fn make_sure_of_network(
        &self,
        network: &Network,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        let mut existing = self.networks_named(&network.name).await?;
        let fitting = existing.iter().position(|found| is_shaped(found, network) && is_labelled(found, labels));
        let kept = fitting.map(|index| existing.swap_remove(index));
        let replaces = !existing.is_empty();
        // The engine allows a name twice, and then refuses it everywhere: keep one.
        for found in existing {
            if !belongs_with(found.labels.as_ref(), labels) {
                return Err(RuntimeError::Conflict {
                    what: format!("network {}", network.name),
                    message: "a network of that name exists and is not this tenant's".to_owned(),
                });
            }
            self.delete_network_id(&found.id.unwrap_or_default(), &network.name).await?;
        }
        if kept.is_some() {
            return Ok(Ensured::Adopted);
        }
        let subnet = network.subnet.to_string();
        let request = &models::NetworkCreateRequest {
            name: network.name.clone(),
            driver: Some("bridge".to_owned()),
            ipam: Some(models::Ipam {
                driver: Some("default".to_owned()),
                config: Some(vec![models::IpamConfig { subnet: Some(subnet.clone()), ..Default::default() }]),
                options: None,
            }),
            enable_ipv6: Some(false),
            options: Some(HashMap::from([(Network::NO_NEIGHBOURS.0.to_owned(), Network::NO_NEIGHBOURS.1.to_owned())])),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        let what = format!("create network {}", network.name);
        let made = self.call(&what, |client| async move { client.create_network(request.clone()).await }).await;
        match made {
            Ok(_) if replaces => Ok(Ensured::Replaced),
            Ok(_) => Ok(Ensured::Created),
            Err(Fault::Refused { message, .. }) if message.contains("overlap") => {
                // A create whose reply was lost, because the connection or this very program ended, overlaps with itself. The
                // engine takes the addresses first and shows the network when it is done.
                for _ in 0..LOOKS {
                    let found = self.networks_named(&network.name).await?;
                    if found.iter().any(|found| is_shaped(found, network) && is_labelled(found, labels)) {
                        return Ok(Ensured::Created);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(RuntimeError::SubnetTaken { subnet })
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    /// Removes every network of that name that is the owner's.
    pub(super) async fn delete_network(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        let mut removal = Removal::Absent;
        for found in self.networks_named(name).await? {
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
        let filters = &HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
        let found = self
            .call("list networks", |client| async move {
                client.list_networks(Some(ListNetworksOptionsBuilder::new().filters(filters).build())).await
            })
            .await
            .map_err(|fault| fault.into_error(self))?;
        // The filter finds parts of names too.
        Ok(found.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
    }
}

fn is_shaped(found: &models::Network, wanted: &Network) -> bool {
    let subnets: Vec<_> = found
        .ipam
        .iter()
        .flat_map(|ipam| ipam.config.iter().flatten())
        .map(|config| config.subnet.as_deref())
        .collect();
    let option = found.options.as_ref().and_then(|options| options.get(Network::NO_NEIGHBOURS.0));
    found.driver.as_deref() == Some("bridge")
        && found.internal != Some(true)
        && subnets == [Some(wanted.subnet.to_string().as_str())]
        && option.map(String::as_str) == Some(Network::NO_NEIGHBOURS.1)
}

/// Whether all labels asked for are there. The operation's may differ: a second one adopts what the first made.
fn is_labelled(found: &models::Network, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .filter(|(key, _)| key.as_str() != label::OPERATION)
        .all(|(key, value)| found.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value))
}
