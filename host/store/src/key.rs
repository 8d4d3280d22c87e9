//! What verifies a tenant's key. The key itself is derived when it is needed and never stored.

use std::fmt;

use convergence_model::{EnvId, OrgId, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::{Result, Store};

/// What is kept of one version of a tenant's key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyVerifier {
    /// Which version, from 1.
    pub version: u32,
    /// The part of the key that is not secret, by which it is found.
    pub lookup: String,
    /// What the secret part is compared with.
    pub verifier: Vec<u8>,
}

impl fmt::Debug for KeyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVerifier")
            .field("version", &self.version)
            .field("lookup", &self.lookup)
            .finish_non_exhaustive()
    }
}

/// Whose key a lookup id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    /// The tenant.
    pub env_id: EnvId,
    /// Its owner.
    pub org: OrgId,
    /// What the presented key is compared with.
    pub key: KeyVerifier,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    env_id: i64,
    org: i64,
    version: i64,
    verifier: Vec<u8>,
}

impl Store {
    /// Finds whose key has this lookup id. Takes no scope: this is how it is found out who is calling, and
    /// what it returns is no answer for a client.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn key_by_lookup(&self, lookup: &str) -> Result<Option<KeyOwner>> {
        // PostgreSQL refuses text with a NUL, and what a caller sends is no reason for an error.
        if lookup.contains('\0') {
            return Ok(None);
        }
        let sql = "SELECT t.env_id, t.org, k.version, k.verifier \
             FROM tenant_keys k JOIN tenants t ON t.id = k.tenant WHERE k.lookup = $1";
        let Some(row): Option<KeyRow> = self.database.first(sql, values![lookup]).await? else { return Ok(None) };
        let version = At { table: "tenant_keys", id: &lookup }.narrow("version", row.version)?;
        let key = KeyVerifier { version, lookup: lookup.to_owned(), verifier: row.verifier };
        Ok(Some(KeyOwner { env_id: EnvId(row.env_id), org: OrgId(row.org), key }))
    }
}

/// Adds a version of a tenant's key.
pub(crate) async fn insert(tx: &mut Tx, tenant: TenantId, key: &KeyVerifier, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO tenant_keys (tenant, version, lookup, verifier, created_at) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, values![tenant, key.version, key.lookup.as_str(), key.verifier.as_slice(), now]).await?;
    Ok(())
}
