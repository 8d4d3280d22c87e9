//! Installed plugins: the inventory, the bytes of every version, and who changed what.

use std::collections::{BTreeMap, BTreeSet};

use convergence_model::OrgId;
use convergence_model::plugin::{Change, Installed, InstalledVersion, Inventory};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::database::{Tx, values};
use crate::decode::{At, to_json};
use crate::{Result, Store, StoreError};

#[derive(sqlx::FromRow)]
struct PluginRow {
    id: String,
    kind: String,
    enabled: i64,
    configuration: Option<String>,
    organizations: Option<String>,
    active: Option<String>,
    previous: Option<String>,
    highest: String,
}

#[derive(sqlx::FromRow)]
struct VersionRow {
    plugin: String,
    digest: String,
    version: String,
    source: String,
    signature: Option<String>,
    installed_at: i64,
}

impl PluginRow {
    fn read(self) -> Result<(String, Installed)> {
        let at = At { table: "plugins", id: &self.id };
        let organizations: Option<BTreeSet<OrgId>> =
            self.organizations.map(|text| at.json("organizations", &text)).transpose()?;
        let installed = Installed {
            kind: self.kind,
            enabled: self.enabled != 0,
            configuration: self.configuration.map(|text| at.json("configuration", &text)).transpose()?,
            organizations,
            active: self.active,
            previous: self.previous,
            highest: at.parse("highest", &self.highest)?,
            versions: BTreeMap::new(),
        };
        Ok((self.id, installed))
    }
}

impl VersionRow {
    fn read(self) -> Result<(String, String, InstalledVersion)> {
        let at = At { table: "plugin_versions", id: &self.digest };
        let version = InstalledVersion {
            version: at.parse("version", &self.version)?,
            source: at.json("source", &self.source)?,
            signature: self.signature,
            installed_at: at.time("installed_at", self.installed_at)?,
        };
        Ok((self.plugin, self.digest, version))
    }
}

impl Store {
    /// Everything that is installed, without the bytes.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn plugin_inventory(&self) -> Result<Inventory> {
        self.database
            .retry(|| async move {
                let seq = self.plugin_inventory_seq().await?;
                let mut inventory = Inventory { seq, ..Inventory::default() };
                let sql =
                    "SELECT id, kind, enabled, configuration, organizations, active, previous, highest FROM plugins";
                for row in self.database.all::<PluginRow>(sql, values![]).await? {
                    let (id, installed) = row.read()?;
                    inventory.plugins.insert(id, installed);
                }
                let sql = "SELECT plugin, digest, version, source, signature, installed_at FROM plugin_versions";
                for row in self.database.all::<VersionRow>(sql, values![]).await? {
                    let (plugin, digest, version) = row.read()?;
                    if let Some(installed) = inventory.plugins.get_mut(&plugin) {
                        installed.versions.insert(digest, version);
                    }
                }
                // Each change counts the number up, so what was read is of one moment.
                if self.plugin_inventory_seq().await? != seq {
                    return Err(StoreError::Busy("the plugins changed while they were read".into()));
                }
                Ok(inventory)
            })
            .await
    }

    /// Counts changes: another number than before means that [`Self::plugin_inventory`] has changed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn plugin_inventory_seq(&self) -> Result<i64> {
        let row: Option<(i64,)> = self.database.first("SELECT seq FROM plugin_inventory", values![]).await?;
        Ok(row.map_or(0, |(seq,)| seq))
    }

    /// The component of an installed version.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn plugin_bytes(&self, plugin: &str, digest: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT bytes FROM plugin_versions WHERE plugin = $1 AND digest = $2";
        let row: Option<(Vec<u8>,)> = self.database.first(sql, values![plugin, digest]).await?;
        Ok(row.map(|(bytes,)| bytes))
    }

    /// Whether a revision of a tenant was planned with these bytes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn plugin_is_pinned(&self, digest: &str) -> Result<bool> {
        let sql = "SELECT tenant FROM revisions WHERE plugins LIKE '%' || $1 || '%' LIMIT 1";
        let row: Option<(String,)> = self.database.first(sql, values![digest]).await?;
        Ok(row.is_some())
    }

    /// Carries changes out, all or none, each with its audit row, and answers what is installed then. None when
    /// somebody else changed something since `before` was read: read it again and decide again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_plugins(
        &self,
        before: &Inventory,
        changes: &[Change],
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<Inventory>> {
        let mut after = before.clone();
        let mut steps = Vec::new();
        for change in changes {
            after.apply(change);
            steps.push((after.seq, change));
        }
        let (after, steps) = (&after, &steps);
        let changed = self
            .database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "UPDATE plugin_inventory SET seq = $1 WHERE one = 1 AND seq = $2";
                if tx.execute(sql, values![after.seq, before.seq]).await? == 0 {
                    return Ok(false);
                }
                for (seq, change) in steps {
                    record(&mut tx, *seq, change, actor, now).await?;
                }
                for id in changes.iter().map(Change::plugin).collect::<BTreeSet<_>>() {
                    write(&mut tx, id, after.plugins.get(id)).await?;
                }
                for change in changes {
                    write_version(&mut tx, change, after).await?;
                }
                tx.commit().await?;
                Ok(true)
            })
            .await?;
        Ok(changed.then(|| after.clone()))
    }
}

/// The plugin's row as it is to be.
async fn write(tx: &mut Tx, id: &str, installed: Option<&Installed>) -> Result<()> {
    let Some(installed) = installed else {
        tx.execute("DELETE FROM plugins WHERE id = $1", values![id]).await?;
        return Ok(());
    };
    let Installed { kind, enabled, configuration, organizations, active, previous, highest, versions: _ } = installed;
    let sql = "INSERT INTO plugins (id, kind, enabled, configuration, organizations, active, previous, highest) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, \
         enabled = excluded.enabled, configuration = excluded.configuration, organizations = excluded.organizations, \
         active = excluded.active, previous = excluded.previous, highest = excluded.highest";
    let configuration = configuration.as_ref().map(to_json).transpose()?;
    let organizations = organizations.as_ref().map(to_json).transpose()?;
    let values = values![
        id,
        kind.as_str(),
        i64::from(*enabled),
        configuration,
        organizations,
        active.clone(),
        previous.clone(),
        highest.to_string()
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// What a change means for the rows of versions. One that a later change of the same list undoes is left out.
async fn write_version(tx: &mut Tx, change: &Change, after: &Inventory) -> Result<()> {
    let stays = |plugin: &str, digest: &str| {
        after.plugins.get(plugin).is_some_and(|installed| installed.versions.contains_key(digest))
    };
    match change {
        Change::Add { plugin, digest, version, bytes, .. } if stays(plugin, digest) => {
            let sql = "INSERT INTO plugin_versions (plugin, digest, version, source, signature, installed_at, bytes) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (plugin, digest) DO UPDATE SET \
                 source = excluded.source, signature = excluded.signature";
            let InstalledVersion { version, source, signature, installed_at } = version;
            let values = values![
                plugin.as_str(),
                digest.as_str(),
                version.to_string(),
                to_json(source)?,
                signature.clone(),
                *installed_at,
                &**bytes
            ];
            tx.execute(sql, values).await?;
        }
        Change::Move { plugin, digest, source } => {
            let sql = "UPDATE plugin_versions SET source = $3 WHERE plugin = $1 AND digest = $2";
            tx.execute(sql, values![plugin.as_str(), digest.as_str(), to_json(source)?]).await?;
        }
        Change::Drop { plugin, digest } => {
            let sql = "DELETE FROM plugin_versions WHERE plugin = $1 AND digest = $2";
            tx.execute(sql, values![plugin.as_str(), digest.as_str()]).await?;
        }
        _ => {}
    }
    Ok(())
}

async fn record(tx: &mut Tx, seq: i64, change: &Change, actor: &str, now: Timestamp) -> Result<()> {
    let (action, detail): (&str, Value) = match change {
        Change::Add { digest, version, .. } => (
            "plugin.install",
            json!({ "version": version.version.to_string(), "digest": digest, "source": version.source }),
        ),
        Change::Move { digest, source, .. } => ("plugin.move", json!({ "digest": digest, "source": source })),
        Change::Activate { digest, .. } => ("plugin.activate", json!({ "digest": digest })),
        Change::Enable { enabled, .. } => (if *enabled { "plugin.enable" } else { "plugin.disable" }, json!({})),
        // What is in a configuration may be a secret: that it changed is enough.
        Change::Configure { configuration, .. } => ("plugin.configure", json!({ "reset": configuration.is_none() })),
        Change::Bind { organizations, .. } => ("plugin.bind", json!({ "organizations": organizations })),
        Change::Drop { digest, .. } => ("plugin.forget", json!({ "digest": digest })),
        Change::Remove { .. } => ("plugin.remove", json!({})),
    };
    let sql = "INSERT INTO plugin_audit (seq, at, actor, action, plugin, detail) VALUES ($1, $2, $3, $4, $5, $6)";
    tx.execute(sql, values![seq, now, actor, action, change.plugin(), detail.to_string()]).await?;
    Ok(())
}
