//! Kept folders of tenants.

use std::collections::BTreeMap;

use bollard::models;
use bollard::query_parameters::RemoveVolumeOptions;

use super::connect::{Docker, Fault};
use super::network::belongs_with;
use crate::error::RuntimeError;
use crate::runtime::Ensured;

impl Docker {
    pub(super) async fn make_sure_of_volume(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        match self
            .call(&format!("inspect volume {name}"), |client| async move { client.inspect_volume(name).await })
            .await
        {
            Ok(found) if belongs_with(Some(&found.labels), labels) => return Ok(Ensured::Adopted),
            Ok(_) => {
                return Err(RuntimeError::Conflict {
                    what: format!("volume {name}"),
                    message: "a volume of that name exists and is not this tenant's".to_owned(),
                });
            }
            Err(Fault::Refused { status: 404, .. }) => {}
            Err(fault) => return Err(fault.into_error(self)),
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

    pub(super) async fn delete_volume(&self, name: &str) -> Result<(), RuntimeError> {
        let removed = self
            .call(&format!("remove volume {name}"), |client| async move {
                client.remove_volume(name, None::<RemoveVolumeOptions>).await
            })
            .await;
        match removed {
            Ok(()) | Err(Fault::Refused { status: 404, .. }) => Ok(()),
            Err(Fault::Refused { status: 409, message }) => {
                Err(RuntimeError::Conflict { what: format!("volume {name}"), message })
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }
}
