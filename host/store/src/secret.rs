//! Variables of tenants whose values are secret. A revision's spec says which versions it has; the values are here, sealed by
//! those who have the keys.

use std::collections::{BTreeMap, BTreeSet};

use convergence_model::{EnvId, EnvName, Scope, Sealed, TenantId, TenantSpec};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::{Conflict, Result, Store, sealing};

/// A version of a secret to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    /// The variable.
    pub name: EnvName,
    /// Rises with each secret of the tenant that is set, and is never used twice; it is part of what the value is bound to.
    pub version: u32,
    /// Its value.
    pub sealed: Sealed,
}

/// A version of a secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// The variable.
    pub name: EnvName,
    /// From 1.
    pub version: u32,
    /// Who set it.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    name: String,
    version: i64,
    actor: String,
    created_at: i64,
}

#[derive(sqlx::FromRow)]
struct ValueRow {
    name: String,
    version: i64,
    sealing_key: String,
    sealed: Vec<u8>,
}

impl Store {
    /// The versions of a tenant's secrets that are kept, by name, oldest first.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn secrets(&self, scope: &Scope, tenant: TenantId) -> Result<Vec<SecretVersion>> {
        let sql = "SELECT s.name, s.version, s.actor, s.created_at FROM secrets s JOIN tenants t ON t.id = s.tenant \
             WHERE s.tenant = $1 AND ($2 IS NULL OR t.org = $2) ORDER BY s.name, s.version";
        let rows: Vec<VersionRow> = self.database.all(sql, values![tenant, scope]).await?;
        let read = |row: VersionRow| {
            let at = At { table: "secrets", id: &format_args!("{tenant}/{}/{}", row.name, row.version) };
            Ok(SecretVersion {
                name: name(&at, &row.name)?,
                version: at.narrow("version", row.version)?,
                actor: row.actor,
                created_at: at.time("created_at", row.created_at)?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// The values of these versions of a tenant's secrets, sealed. A version that is not there is left out.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn secret_values(
        &self,
        scope: &Scope,
        tenant: TenantId,
        versions: &BTreeMap<EnvName, u32>,
    ) -> Result<BTreeMap<EnvName, Sealed>> {
        if versions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let sql = "SELECT s.name, s.version, s.sealing_key, s.sealed FROM secrets s JOIN tenants t ON t.id = s.tenant \
             WHERE s.tenant = $1 AND ($2 IS NULL OR t.org = $2)";
        let rows: Vec<ValueRow> = self.database.all(sql, values![tenant, scope]).await?;
        let mut found = BTreeMap::new();
        for row in rows {
            let at = At { table: "secrets", id: &format_args!("{tenant}/{}/{}", row.name, row.version) };
            let name = name(&at, &row.name)?;
            if versions.get(&name).is_some_and(|version| i64::from(*version) == row.version) {
                let key = sealing::key_id(&at, &row.sealing_key)?;
                found.insert(name, Sealed { key, bytes: row.sealed });
            }
        }
        Ok(found)
    }
}

fn name(at: &At<'_>, text: &str) -> Result<EnvName> {
    EnvName::parse(text).map_err(|reason| at.corrupt("name", reason))
}

/// Adds versions of a tenant's secrets.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    secrets: &[NewSecret],
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    for NewSecret { name, version, sealed } in secrets {
        sealing::refuse_older(tx, &sealed.key).await?;
        let sql = "UPDATE tenants SET secrets_set = $2 WHERE id = $1 AND secrets_set = $2 - 1";
        if tx.execute(sql, values![tenant, *version]).await? == 0 {
            return Err(Conflict::ChangedMeanwhile.into());
        }
        let sql = "INSERT INTO secrets (tenant, name, version, sealing_key, sealed, actor, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (key, bytes) = (sealed.key.as_str(), sealed.bytes.as_slice());
        tx.execute(sql, values![tenant, name.as_str(), *version, key, bytes, actor, now]).await?;
    }
    Ok(())
}

/// Deletes the versions that neither the tenant nor a revision has that runs or may run.
pub(crate) async fn prune(tx: &mut Tx, env_id: EnvId) -> Result<()> {
    let sql = "SELECT s.tenant, s.name, s.version FROM secrets s JOIN tenants t ON t.id = s.tenant WHERE t.env_id = $1";
    let kept: Vec<(String, String, i64)> = tx.all(sql, values![env_id]).await?;
    if kept.is_empty() {
        return Ok(());
    }
    let sql = "SELECT spec FROM tenants WHERE env_id = $1 UNION ALL SELECT r.spec FROM revisions r \
         JOIN tenants t ON t.id = r.tenant WHERE t.env_id = $1 AND r.state IN ('pending', 'ready')";
    let specs: Vec<(String,)> = tx.all(sql, values![env_id]).await?;
    let mut needed = BTreeSet::new();
    for (spec,) in specs {
        let spec: TenantSpec = At { table: "tenants", id: &env_id }.json("spec", &spec)?;
        needed.extend(spec.secrets.into_iter().map(|(name, version)| (name.to_string(), i64::from(version))));
    }
    for (tenant, name, version) in kept {
        if !needed.contains(&(name.clone(), version)) {
            let sql = "DELETE FROM secrets WHERE tenant = $1 AND name = $2 AND version = $3";
            tx.execute(sql, values![tenant, name, version]).await?;
        }
    }
    Ok(())
}

/// Refuses a spec with versions of secrets that are not there: what it was planned from failed, and they went with it.
pub(crate) async fn refuse_missing(tx: &mut Tx, tenant: TenantId, spec: &TenantSpec) -> Result<()> {
    for (name, version) in &spec.secrets {
        let sql = "SELECT COUNT(*) FROM secrets WHERE tenant = $1 AND name = $2 AND version = $3";
        let (there,): (i64,) = tx.one(sql, values![tenant, name.as_str(), *version]).await?;
        if there == 0 {
            return Err(Conflict::ChangedMeanwhile.into());
        }
    }
    Ok(())
}
