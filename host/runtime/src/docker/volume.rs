//! Kept folders of tenants.

use std::collections::BTreeMap;

use bollard::models;
use bollard::query_parameters::RemoveVolumeOptions;

use super::connect::{Docker, Fault};
use super::owned::belongs_with;
use crate::error::RuntimeError;
use crate::owner::Owner;
use crate::runtime::{Ensured, Removal};

impl Docker {
    pub(super) async fn make_sure_of_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        match self.find_volume(name).await? {
            Some(found) if belongs_with(Some(&found.labels), labels) => return Ok(Ensured::Adopted),
            Some(_) => {
                return Err(RuntimeError::Conflict {
                    what: format!("volume {name}"),
                    message: "a volume of that name exists and is not this tenant's".to_owned(),
                });
            }
            None => {}
        }
        let request = &models::VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some("local".to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        // The engine answers with the existing volume where another server was faster: with the same labels,
        // so both of them made it.
        let made = self
            .call(&format!("create volume {name}"), |client| async move { client.create_volume(request.clone()).await })
            .await
            .map_err(|fault| fault.into_error(self))?;
        if belongs_with(Some(&made.labels), labels) {
            Ok(Ensured::Created)
        } else {
            Err(RuntimeError::Conflict {
                what: format!("volume {name}"),
                message: "a volume of that name was made by somebody else just now".to_owned(),
            })
        }
    }

    async fn find_volume(&self, name: &str) -> Result<Option<models::Volume>, RuntimeError> {
        let what = format!("inspect volume {name}");
        match self.call(&what, |client| async move { client.inspect_volume(name).await }).await {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Refused { status: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    pub(super) async fn delete_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        // A volume has no id but its name, so looking and removing cannot be one. A program that slipped in between had
        // to remove ours and make their own in a millisecond, and the engine refuses to remove one in use.
        match self.find_volume(name).await? {
            None => return Ok(Removal::Absent),
            Some(found) if !owner.owns(|key| found.labels.get(key)) => return Ok(Removal::Foreign),
            Some(_) => {}
        }
        let removed = self
            .call(&format!("remove volume {name}"), |client| async move {
                client.remove_volume(name, None::<RemoveVolumeOptions>).await
            })
            .await;
        match removed {
            Ok(()) | Err(Fault::Refused { status: 404, .. }) => Ok(Removal::Removed),
            Err(Fault::Refused { status: 409, message }) => {
                Err(RuntimeError::Conflict { what: format!("volume {name}"), message })
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }
}
