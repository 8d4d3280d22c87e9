//! Secrets of tenants: sealed before the store sees them, opened where a container is made. Passwords of registries are opened
//! in the same way.

use std::collections::BTreeMap;

use convergence_access::{OpenError, Place, Seals};
use convergence_model::tenant::Revision;
use convergence_model::{EnvName, Scope, Sealed, Secret, TenantId};
use convergence_store::{NewSecret, SealedIn, SealedRow, StoreError};

use crate::Provisioner;
use crate::keys::RingError;

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
    #[error("{what} cannot be opened: {why}")]
    Closed { what: String, why: OpenError },
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
            let (kept_in, owner) = (SealedIn::Secrets, tenant.to_string());
            let row = SealedRow { kept_in, owner, name: name.to_string(), version: *version, sealed };
            opened.insert(name.clone(), self.open(&row).await?);
        }
        Ok(opened)
    }

    /// Opens a value of the database, also with a key that another server added.
    pub(crate) async fn open(&self, row: &SealedRow) -> Result<Secret, SecretError> {
        match open(&self.keys.seals, row) {
            Err(SecretError::Closed { why: OpenError::NoKey(_), .. }) => {
                if let Err(error) = self.keys.reload(&self.store, self.clock.now()).await {
                    tracing::error!(%error, "the key ring cannot be read again");
                }
                open(&self.keys.seals, row)
            }
            opened => opened,
        }
    }

    /// A version of a secret as the store keeps it.
    pub(crate) fn sealed(
        &self,
        tenant: TenantId,
        name: EnvName,
        version: u32,
        value: &Secret,
    ) -> Result<NewSecret, RingError> {
        let (column, owner) = (SealedIn::Secrets.column(), tenant.to_string());
        let sealed = self.keys.seals.seal(Place { column, owner: &owner, name: name.as_str(), version }, value)?;
        Ok(NewSecret { name, version, sealed })
    }
}

/// Opens a value of the database.
pub(crate) fn open(seals: &Seals, row: &SealedRow) -> Result<Secret, SecretError> {
    seals.open(place(row), &row.sealed).map_err(|why| {
        let what = match row.kept_in {
            SealedIn::Secrets => format!("the secret {}", row.name),
            SealedIn::Registries => format!("the password of the registry {}", row.name),
        };
        SecretError::Closed { what, why }
    })
}

/// Seals a value of the database anew.
pub(crate) fn seal(seals: &Seals, row: &SealedRow, value: &Secret) -> Result<Sealed, RingError> {
    Ok(seals.seal(place(row), value)?)
}

fn place(row: &SealedRow) -> Place<'_> {
    Place { column: row.kept_in.column(), owner: &row.owner, name: &row.name, version: row.version }
}
