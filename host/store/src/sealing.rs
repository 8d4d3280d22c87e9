//! The keys that sealed something, and what is still sealed by each. The keys themselves are never here.

use convergence_model::{Sealed, SealingKeyId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::{Conflict, PLATFORM, PLATFORM_ORG, Result, Store, audit};

/// A key that sealed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKey {
    /// Its id.
    pub id: SealingKeyId,
    /// A text that every server knows, sealed with it.
    pub proof: Vec<u8>,
    /// How many values are sealed with it.
    pub values: u64,
    /// When it sealed something first.
    pub created_at: Timestamp,
}

/// A table with sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedIn {
    /// Secret variables of tenants.
    Secrets,
    /// Passwords of organizations at registries.
    Registries,
}

impl SealedIn {
    /// The table and the column with the values, which they are bound to.
    pub fn column(self) -> &'static str {
        match self {
            Self::Secrets => "secrets.sealed",
            Self::Registries => "registries.sealed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Secrets, Self::Registries].into_iter().find(|table| table.column() == word)
    }

    /// Keeps a value that was sealed anew, unless it was changed or deleted meanwhile.
    fn reseal(self) -> &'static str {
        match self {
            Self::Secrets => {
                "UPDATE secrets SET sealing_key = $5, sealed = $6 \
                 WHERE tenant = $1 AND name = $2 AND version = $3 AND sealing_key = $4"
            }
            Self::Registries => {
                "UPDATE registries SET sealing_key = $5, sealed = $6 \
                 WHERE CAST(org AS TEXT) = $1 AND host = $2 AND version = $3 AND sealing_key = $4"
            }
        }
    }
}

/// A sealed value and where it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// The table.
    pub kept_in: SealedIn,
    /// The id of the tenant or the organization whose it is.
    pub owner: String,
    /// The secret's name, or the registry's host.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The value.
    pub sealed: Sealed,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: String,
    proof: Vec<u8>,
    sealed: i64,
    created_at: i64,
}

#[derive(sqlx::FromRow)]
struct SealedRowRead {
    kept_in: String,
    owner: String,
    name: String,
    version: i64,
    sealing_key: String,
    sealed: Vec<u8>,
}

impl Store {
    /// Every key that sealed something and was not retired, oldest first.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn sealing_keys(&self) -> Result<Vec<SealingKey>> {
        let sql = "SELECT k.id, k.proof, k.created_at, \
             (SELECT COUNT(*) FROM secrets s WHERE s.sealing_key = k.id) + \
             (SELECT COUNT(*) FROM registries r WHERE r.sealing_key = k.id) AS sealed \
             FROM sealing_keys k ORDER BY k.number";
        let rows: Vec<KeyRow> = self.database.all(sql, values![]).await?;
        let read = |row: KeyRow| {
            let at = At { table: "sealing_keys", id: &row.id };
            Ok(SealingKey {
                id: key_id(&at, &row.id)?,
                values: at.narrow("sealed", row.sealed)?,
                created_at: at.time("created_at", row.created_at)?,
                proof: row.proof,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Keeps that a key may seal something from now on, unless there is a key that is not among those `held`: that is answered,
    /// and nothing is changed. Saying it again changes nothing.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn add_sealing_key(
        &self,
        proof: &Sealed,
        held: &[SealingKeyId],
        now: Timestamp,
    ) -> Result<Option<SealingKeyId>> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                // Two servers that begin with one database take turns here.
                let turn = audit::turn_of_existing(&mut tx, PLATFORM_ORG).await?;
                let known: Vec<(String,)> = tx.all("SELECT id FROM sealing_keys", values![]).await?;
                for (id,) in &known {
                    let id = key_id(&At { table: "sealing_keys", id }, id)?;
                    if !held.contains(&id) {
                        return Ok(Some(id));
                    }
                }
                if known.iter().any(|(id,)| id == proof.key.as_str()) {
                    return Ok(None);
                }
                let sql = "INSERT INTO sealing_keys (id, proof, created_at, number) \
                     SELECT $1, $2, $3, COALESCE(MAX(number), 0) + 1 FROM sealing_keys";
                tx.execute(sql, values![proof.key.as_str(), proof.bytes.as_slice(), now]).await?;
                let detail = serde_json::json!({ "key": proof.key.as_str() });
                let actor = PLATFORM;
                turn.record(&mut tx, audit::Entry { at: now, actor, action: "keys.added", env_id: None, detail })
                    .await?;
                tx.commit().await?;
                Ok(None)
            })
            .await
    }

    /// Values that other keys than this one sealed: at most `limit`. Takes no scope: those who seal them anew do so for all.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn sealed_by_others(&self, key: &SealingKeyId, limit: u32) -> Result<Vec<SealedRow>> {
        let sql = "SELECT CAST('secrets.sealed' AS TEXT) AS kept_in, tenant AS owner, name, version, sealing_key, sealed \
             FROM secrets WHERE sealing_key <> $1 \
             UNION ALL SELECT CAST('registries.sealed' AS TEXT), CAST(org AS TEXT), host, version, sealing_key, sealed \
             FROM registries WHERE sealing_key <> $1 ORDER BY 1, 2, 3, 4 LIMIT $2";
        let rows: Vec<SealedRowRead> = self.database.all(sql, values![key.as_str(), limit]).await?;
        let read = |row: SealedRowRead| {
            let id = &format_args!("{}: {}/{}/{}", row.kept_in, row.owner, row.name, row.version);
            let at = At { table: "(sealed values)", id };
            Ok(SealedRow {
                kept_in: at.word("kept_in", &row.kept_in, SealedIn::parse)?,
                version: at.narrow("version", row.version)?,
                sealed: Sealed { key: key_id(&at, &row.sealing_key)?, bytes: row.sealed },
                owner: row.owner,
                name: row.name,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Keeps values that were sealed anew, each with the key that it was sealed with before. What was changed or deleted
    /// meanwhile is left alone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn resealed(&self, rows: &[(SealingKeyId, SealedRow)]) -> Result<u64> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let mut changed = 0;
                for (before, row) in rows {
                    let (owner, name, sealed) = (row.owner.as_str(), row.name.as_str(), &row.sealed);
                    let (key, bytes) = (sealed.key.as_str(), sealed.bytes.as_slice());
                    let values = values![owner, name, row.version, before.as_str(), key, bytes];
                    changed += tx.execute(row.kept_in.reseal(), values).await?;
                }
                tx.commit().await?;
                Ok(changed)
            })
            .await
    }

    /// Forgets a key that sealed nothing any more. False where it did.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn retire_sealing_key(&self, key: &SealingKeyId, actor: &str, now: Timestamp) -> Result<bool> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let turn = audit::turn_of_existing(&mut tx, PLATFORM_ORG).await?;
                let sql = "DELETE FROM sealing_keys WHERE id = $1 \
                     AND NOT EXISTS (SELECT 1 FROM secrets s WHERE s.sealing_key = $1) \
                     AND NOT EXISTS (SELECT 1 FROM registries r WHERE r.sealing_key = $1)";
                if tx.execute(sql, values![key.as_str()]).await? == 0 {
                    return Ok(false);
                }
                let detail = serde_json::json!({ "key": key.as_str() });
                turn.record(&mut tx, audit::Entry { at: now, actor, action: "keys.retired", env_id: None, detail })
                    .await?;
                tx.commit().await?;
                Ok(true)
            })
            .await
    }
}

/// Refuses what was sealed before a rotation, which would not see it any more.
pub(crate) async fn refuse_older(tx: &mut Tx, key: &SealingKeyId) -> Result<()> {
    let sql = "SELECT COUNT(*) FROM sealing_keys WHERE id = $1 AND number = (SELECT MAX(number) FROM sealing_keys)";
    let (newest,): (i64,) = tx.one(sql, values![key.as_str()]).await?;
    if newest == 0 { Err(Conflict::ChangedMeanwhile.into()) } else { Ok(()) }
}

pub(crate) fn key_id(at: &At<'_>, text: &str) -> Result<SealingKeyId> {
    SealingKeyId::parse(text).ok_or_else(|| at.corrupt("sealing_key", "it is no id of a key"))
}
