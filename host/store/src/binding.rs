//! What belongs to a tenant through all revisions: its port, its network, the version of its key.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use convergence_model::tenant::Binding;
use convergence_model::workload::Subnet;
use convergence_model::{Scope, TenantId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::decode::At;
use crate::lease::{self, Lease};
use crate::tenant::SubnetPool;
use crate::{Conflict, Result, Store, audit};

#[derive(sqlx::FromRow)]
pub(crate) struct BindingRow {
    port: i64,
    subnet: String,
    key_version: i64,
}

impl BindingRow {
    pub(crate) fn read(self, tenant: TenantId) -> Result<Binding> {
        let at = At { table: "bindings", id: &tenant };
        Ok(Binding {
            port: at.narrow("port", self.port)?,
            subnet: at.word("subnet", &self.subnet, Subnet::parse)?,
            key_version: at.narrow("key_version", self.key_version)?,
        })
    }
}

impl Store {
    /// What is bound to a tenant.
    ///
    /// # Errors
    /// When the database does not answer or the row cannot be read.
    pub async fn binding(&self, scope: &Scope, tenant: TenantId) -> Result<Option<Binding>> {
        let sql = "SELECT b.port, b.subnet, b.key_version FROM bindings b JOIN tenants t ON t.id = b.tenant \
             WHERE b.tenant = $1 AND ($2 IS NULL OR t.org = $2)";
        let row: Option<BindingRow> = self.database.first(sql, values![tenant, scope]).await?;
        row.map(|row| row.read(tenant)).transpose()
    }

    /// Gives the tenant of an operation another port because somebody else sits on its own: the old one is
    /// kept from everybody until `quarantine_old_until`, the lowest free one of `ports` outside `skip` is leased.
    /// Returns the new port.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`Conflict::PortsExhausted`]; when the database does not answer.
    pub async fn move_port(
        &self,
        lease: &Lease,
        quarantine_old_until: Timestamp,
        ports: RangeInclusive<u16>,
        skip: &BTreeSet<u16>,
        now: Timestamp,
    ) -> Result<u16> {
        let (ports, quarantine) = (&ports, quarantine_old_until);
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let held = lease::hold(&mut tx, lease).await?;
                let turn = audit::turn_of_existing(&mut tx, held.org).await?;
                let tenant = held.tenant(&mut tx).await?;
                let sql = "SELECT node, port FROM bindings WHERE tenant = $1";
                let (node, old): (String, i64) = tx.one(sql, values![tenant]).await?;
                let new = lease_port(&mut tx, &node, tenant, ports, skip, now).await?;
                let sql = "UPDATE bindings SET port = $2 WHERE tenant = $1";
                tx.execute(sql, values![tenant, new]).await?;
                let sql = "UPDATE ports SET tenant = NULL, quarantine_until = $3 WHERE node = $1 AND port = $2";
                tx.execute(sql, values![node, old, quarantine]).await?;
                let detail = serde_json::json!({ "operation": lease.operation, "from": old, "to": new });
                turn.record(&mut tx, held.entry("tenant.port-moved", detail, now)).await?;
                tx.commit().await?;
                Ok(new)
            })
            .await
    }
}

impl Store {
    /// Gives the tenant of an operation another network because something outside uses addresses of its own: the
    /// old one is kept from everybody until `quarantine_old_until`, the first free one of `pool` is leased. Returns
    /// the new network.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`Conflict::SubnetsExhausted`]; when the database does not answer.
    pub async fn move_subnet(
        &self,
        lease: &Lease,
        quarantine_old_until: Timestamp,
        pool: SubnetPool,
        now: Timestamp,
    ) -> Result<Subnet> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let held = lease::hold(&mut tx, lease).await?;
                let turn = audit::turn(&mut tx, held.org).await?;
                let tenant = held.tenant(&mut tx).await?;
                let sql = "SELECT node, subnet FROM bindings WHERE tenant = $1";
                let (node, old): (String, String) = tx.one(sql, values![tenant]).await?;
                let new = lease_subnet(&mut tx, &node, tenant, pool, None, now).await?;
                let sql = "UPDATE bindings SET subnet = $2 WHERE tenant = $1";
                tx.execute(sql, values![tenant, new.to_string()]).await?;
                let sql = "UPDATE subnets SET tenant = NULL, quarantine_until = $3 WHERE node = $1 AND subnet = $2";
                tx.execute(sql, values![node, old.as_str(), quarantine_old_until]).await?;
                if let Some(turn) = turn {
                    let detail = serde_json::json!({ "operation": lease.operation, "from": old, "to": new });
                    turn.record(&mut tx, held.entry("tenant.subnet-moved", detail, now)).await?;
                }
                tx.commit().await?;
                Ok(new)
            })
            .await
    }
}

/// Makes transactions that lease something on a node take turns. Comes after the organization's turn.
async fn take_turn(tx: &mut Tx, node: &str) -> Result<()> {
    tx.execute("UPDATE nodes SET leases = leases + 1 WHERE name = $1", values![node]).await?;
    Ok(())
}

/// Leases the lowest port that nobody has.
async fn lease_port(
    tx: &mut Tx,
    node: &str,
    tenant: TenantId,
    ports: &RangeInclusive<u16>,
    skip: &BTreeSet<u16>,
    now: Timestamp,
) -> Result<u16> {
    let (first, last) = (*ports.start(), *ports.end());
    take_turn(tx, node).await?;
    let sql = "DELETE FROM ports WHERE node = $1 AND quarantine_until <= $2";
    tx.execute(sql, values![node, now]).await?;
    let mut from = first;
    let port = loop {
        let free = lowest_free(tx, node, from).await?.filter(|port| *port <= last);
        match free.ok_or(Conflict::PortsExhausted { first, last })? {
            skipped if skip.contains(&skipped) => from = skipped.saturating_add(1),
            free => break free,
        }
    };
    tx.execute("INSERT INTO ports (node, port, tenant) VALUES ($1, $2, $3)", values![node, port, tenant]).await?;
    Ok(port)
}

/// The lowest port from `from` on that nobody has: that one, or the first behind one that is taken. None past the last
/// port there is.
async fn lowest_free(tx: &mut Tx, node: &str, from: u16) -> Result<Option<u16>> {
    let sql = "SELECT port FROM ports WHERE node = $1 AND port = $2";
    if tx.first::<(i64,)>(sql, values![node, from]).await?.is_none() {
        return Ok(Some(from));
    }
    let sql = "SELECT p.port + 1 FROM ports p WHERE p.node = $1 AND p.port >= $2 AND NOT EXISTS \
         (SELECT 1 FROM ports n WHERE n.node = p.node AND n.port = p.port + 1) ORDER BY p.port LIMIT 1";
    let (port,): (i64,) = tx.one(sql, values![node, from]).await?;
    Ok(u16::try_from(port).ok())
}

/// Leases a network of a pool that nobody has: the one with the number `wish`, which is as good as certain to be free
/// where wishes differ as ports do, or else the first.
async fn lease_subnet(
    tx: &mut Tx,
    node: &str,
    tenant: TenantId,
    pool: SubnetPool,
    wish: Option<u32>,
    now: Timestamp,
) -> Result<Subnet> {
    take_turn(tx, node).await?;
    let sql = "DELETE FROM subnets WHERE node = $1 AND quarantine_until <= $2";
    tx.execute(sql, values![node, now]).await?;
    let nth = |index| Subnet::nth(pool.first, pool.count, index);
    let sql = "SELECT subnet FROM subnets WHERE node = $1 AND subnet = $2";
    let wished = match wish.and_then(nth) {
        Some(wished) if tx.first::<(String,)>(sql, values![node, wished.to_string()]).await?.is_none() => Some(wished),
        _ => None,
    };
    let subnet = match wished {
        Some(subnet) => subnet,
        None => {
            let taken: Vec<(String,)> = tx.all("SELECT subnet FROM subnets WHERE node = $1", values![node]).await?;
            let taken: HashSet<String> = taken.into_iter().map(|(subnet,)| subnet).collect();
            let free = (0..pool.count).filter_map(nth).find(|subnet| !taken.contains(&subnet.to_string()));
            free.ok_or(Conflict::SubnetsExhausted { count: pool.count })?
        }
    };
    let sql = "INSERT INTO subnets (node, subnet, tenant) VALUES ($1, $2, $3)";
    tx.execute(sql, values![node, subnet.to_string(), tenant]).await?;
    Ok(subnet)
}

/// Where a new tenant's port and network come from.
pub(crate) struct Pools<'a> {
    pub(crate) node: &'a str,
    pub(crate) ports: &'a RangeInclusive<u16>,
    pub(crate) skip: &'a BTreeSet<u16>,
    pub(crate) subnets: SubnetPool,
}

/// Leases and binds what a new tenant needs.
pub(crate) async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    pools: &Pools<'_>,
    key_version: u32,
    now: Timestamp,
) -> Result<Binding> {
    let port = lease_port(tx, pools.node, tenant, pools.ports, pools.skip, now).await?;
    let wish = Some(u32::from(port.saturating_sub(*pools.ports.start())));
    let subnet = lease_subnet(tx, pools.node, tenant, pools.subnets, wish, now).await?;
    let sql = "INSERT INTO bindings (tenant, node, port, subnet, key_version) VALUES ($1, $2, $3, $4, $5)";
    tx.execute(sql, values![tenant, pools.node, port, subnet.to_string(), key_version]).await?;
    Ok(Binding { port, subnet, key_version })
}
