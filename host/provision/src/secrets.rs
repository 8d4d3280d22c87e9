//! Secrets of tenants: sealed before the store sees them, opened where a container is made.

use std::collections::BTreeMap;

use convergence_access::{OpenError, Place, Seals};
use convergence_model::tenant::Revision;
use convergence_model::{EnvName, Scope, Sealed, Secret, TenantId};
use convergence_store::{NewSecret, SealedRow, StoreError};

use crate::Provisioner;
use crate::keys::RingError;

/// Where the store keeps them, as they are sealed for it.
const COLUMN: &str = "secrets.sealed";

/// Why secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The version is not there.
    #[error("version {version} of the secret {name} is missing in the database")]
    Missing { name: EnvName, version: u32 },
    /// It does not open.
    #[error("the secret {name} cannot be opened: {why}")]
    Closed { name: String, why: OpenError },
}

impl Provisioner {
    /// The values of a revision's secrets.
    pub(crate) async fn opened(
        &self,
        tenant: TenantId,
        revision: &Revision,
    ) -> Result<BTreeMap<EnvName, Secret>, SecretError> {
        let versions = &revision.spec.secrets;
        let mut values = self.store.secret_values(&Scope::platform(), tenant, versions).await?;
        let mut opened = BTreeMap::new();
        for (name, version) in versions {
            let missing = || SecretError::Missing { name: name.clone(), version: *version };
            let sealed = values.remove(name).ok_or_else(missing)?;
            let row = SealedRow { tenant, name: name.to_string(), version: *version, sealed };
            let value = match open(&self.keys.seals, &row) {
                Err(SecretError::Closed { why: OpenError::NoKey(_), .. }) => {
                    if let Err(error) = self.keys.reload(&self.store, self.clock.now()).await {
                        tracing::error!(%error, "the key ring cannot be read again");
                    }
                    open(&self.keys.seals, &row)
                }
                opened => opened,
            };
            opened.insert(name.clone(), value?);
        }
        Ok(opened)
    }

    /// A version of a secret as the store keeps it.
    pub(crate) fn sealed(
        &self,
        tenant: TenantId,
        name: EnvName,
        version: u32,
        value: &Secret,
    ) -> Result<NewSecret, RingError> {
        let sealed = self.keys.seals.seal(place(&tenant.to_string(), name.as_str(), version), value)?;
        Ok(NewSecret { name, version, sealed })
    }
}

/// Opens a value of the database.
pub(crate) fn open(seals: &Seals, row: &SealedRow) -> Result<Secret, SecretError> {
    seals
        .open(place(&row.tenant.to_string(), &row.name, row.version), &row.sealed)
        .map_err(|why| SecretError::Closed { name: row.name.clone(), why })
}

/// Seals a value of the database anew.
pub(crate) fn seal(seals: &Seals, row: &SealedRow, value: &Secret) -> Result<Sealed, RingError> {
    Ok(seals.seal(place(&row.tenant.to_string(), &row.name, row.version), value)?)
}

fn place<'a>(owner: &'a str, name: &'a str, version: u32) -> Place<'a> {
    Place { column: COLUMN, owner, name, version }
}
