//! Who organizations pull images as. The passwords are sealed by those who have the keys.

use convergence_model::{ImageRepository, OrgId, RegistryHost, Scope, Sealed};
use jiff::Timestamp;

use crate::database::values;
use crate::decode::At;
use crate::{Conflict, Result, Store, audit, sealing};

/// A registry that an organization is logged in to, without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its host.
    pub host: RegistryHost,
    /// The user's name there.
    pub user: String,
    /// Who logged in.
    pub actor: String,
    /// When.
    pub created_at: Timestamp,
}

/// Credentials as the database keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRegistry {
    /// The user's name.
    pub user: String,
    /// Rises with each login of the organization, and is never used twice; it is part of what the password is bound to.
    pub version: u32,
    /// The password.
    pub sealed: Sealed,
}

/// A login to be.
#[derive(Debug, Clone, Copy)]
pub struct NewRegistry<'a> {
    /// The registry's host.
    pub host: &'a RegistryHost,
    /// The user's name.
    pub user: &'a str,
    /// One more than [`Store::registries_set`].
    pub version: u32,
    /// The password.
    pub sealed: &'a Sealed,
    /// Who logs in.
    pub actor: &'a str,
    /// When.
    pub now: Timestamp,
}

#[derive(sqlx::FromRow)]
struct RegistryRow {
    host: String,
    username: String,
    actor: String,
    created_at: i64,
}

#[derive(sqlx::FromRow)]
struct SealedRegistryRow {
    username: String,
    version: i64,
    sealing_key: String,
    sealed: Vec<u8>,
}

impl Store {
    /// The registries that an organization is logged in to, by host.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn registries(&self, scope: &Scope, org: OrgId) -> Result<Vec<Registry>> {
        let sql = "SELECT host, username, actor, created_at FROM registries \
             WHERE org = $1 AND ($2 IS NULL OR org = $2) ORDER BY host";
        let rows: Vec<RegistryRow> = self.database.all(sql, values![org, scope]).await?;
        let read = |row: RegistryRow| {
            let at = At { table: "registries", id: &format_args!("{org}/{}", row.host) };
            Ok(Registry {
                host: RegistryHost::parse(&row.host).map_err(|reason| at.corrupt("host", reason))?,
                created_at: at.time("created_at", row.created_at)?,
                user: row.username,
                actor: row.actor,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// What an organization logs in to a registry with; none where it does not.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn registry(&self, scope: &Scope, org: OrgId, host: &RegistryHost) -> Result<Option<SealedRegistry>> {
        let sql = "SELECT username, version, sealing_key, sealed FROM registries \
             WHERE org = $1 AND host = $3 AND ($2 IS NULL OR org = $2)";
        let row: Option<SealedRegistryRow> = self.database.first(sql, values![org, scope, host.as_str()]).await?;
        let Some(row) = row else { return Ok(None) };
        let at = At { table: "registries", id: &format_args!("{org}/{host}") };
        let version = at.narrow("version", row.version)?;
        let key = sealing::key_id(&at, &row.sealing_key)?;
        Ok(Some(SealedRegistry { user: row.username, version, sealed: Sealed { key, bytes: row.sealed } }))
    }

    /// How often an organization logged in to a registry; none where it is out of reach.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn registries_set(&self, scope: &Scope, org: OrgId) -> Result<Option<u32>> {
        let sql = "SELECT registries_set FROM organizations WHERE id = $1 AND ($2 IS NULL OR id = $2)";
        let row: Option<(i64,)> = self.database.first(sql, values![org, scope]).await?;
        row.map(|(set,)| At { table: "organizations", id: &org }.narrow("registries_set", set)).transpose()
    }

    /// Keeps what an organization logs in to a registry with, instead of what it had.
    ///
    /// # Errors
    /// [`Conflict::NoOrganization`]; [`Conflict::ChangedMeanwhile`] where the version is taken; when the database does not answer.
    pub async fn log_in(&self, scope: &Scope, org: OrgId, new: NewRegistry<'_>) -> Result<()> {
        if !scope.covers(org) {
            return Err(Conflict::NoOrganization(org).into());
        }
        self.database
            .retry(|| async move {
                let NewRegistry { host, user, version, sealed, actor, now } = new;
                let mut tx = self.database.begin().await?;
                let turn = audit::turn(&mut tx, org).await?.ok_or(Conflict::NoOrganization(org))?;
                sealing::refuse_older(&mut tx, &sealed.key).await?;
                let sql = "UPDATE organizations SET registries_set = $2 WHERE id = $1 AND registries_set = $2 - 1";
                if tx.execute(sql, values![org, version]).await? == 0 {
                    return Err(Conflict::ChangedMeanwhile.into());
                }
                let sql = "INSERT INTO registries (org, host, username, version, sealing_key, sealed, actor, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                     ON CONFLICT (org, host) DO UPDATE SET username = excluded.username, version = excluded.version, \
                     sealing_key = excluded.sealing_key, sealed = excluded.sealed, actor = excluded.actor, \
                     created_at = excluded.created_at";
                let (key, bytes) = (sealed.key.as_str(), sealed.bytes.as_slice());
                tx.execute(sql, values![org, host.as_str(), user, version, key, bytes, actor, now]).await?;
                let detail = serde_json::json!({ "host": host.as_str(), "user": user });
                turn.record(&mut tx, audit::Entry { at: now, actor, action: "registry.login", env_id: None, detail })
                    .await?;
                tx.commit().await
            })
            .await
    }

    /// Deletes what an organization logs in to a registry with. False where it does not, or is out of reach.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn log_out(
        &self,
        scope: &Scope,
        org: OrgId,
        host: &RegistryHost,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool> {
        if !scope.covers(org) {
            return Ok(false);
        }
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let Some(turn) = audit::turn(&mut tx, org).await? else { return Ok(false) };
                let sql = "DELETE FROM registries WHERE org = $1 AND host = $2";
                if tx.execute(sql, values![org, host.as_str()]).await? == 0 {
                    return Ok(false);
                }
                let detail = serde_json::json!({ "host": host.as_str() });
                turn.record(&mut tx, audit::Entry { at: now, actor, action: "registry.logout", env_id: None, detail })
                    .await?;
                tx.commit().await?;
                Ok(true)
            })
            .await
    }

    /// Whether some organization pulled images of this repository with its credentials. Takes no scope: what the engine has is
    /// within everybody's reach.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_private_image(&self, repository: &ImageRepository) -> Result<bool> {
        let sql = "SELECT repository FROM private_images WHERE repository = $1";
        let row: Option<(String,)> = self.database.first(sql, values![repository.to_string()]).await?;
        Ok(row.is_some())
    }

    /// Keeps that some organization pulls images of this repository with its credentials. Answers whether that is new.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_private_image(&self, repository: &ImageRepository) -> Result<bool> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "INSERT INTO private_images (repository) VALUES ($1) ON CONFLICT (repository) DO NOTHING";
                let added = tx.execute(sql, values![repository.to_string()]).await?;
                tx.commit().await?;
                Ok(added > 0)
            })
            .await
    }

    /// Forgets a repository of which no image was pulled after all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_private_image(&self, repository: &ImageRepository) -> Result<()> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "DELETE FROM private_images WHERE repository = $1";
                tx.execute(sql, values![repository.to_string()]).await?;
                tx.commit().await
            })
            .await
    }
}
