//! Who did what, when: append-only, numbered without gaps per organization, written in the transaction it tells of.

use convergence_model::{EnvId, OrgId};
use jiff::Timestamp;

use crate::database::{Tx, values};
use crate::{Result, StoreError};

/// An organization's next audit row, and its turn: until the transaction ends, no other one of the same
/// organization gets past the point where it takes its own. Every transaction that changes tenants takes the
/// turn before it touches a tenant's rows, so that quotas hold and turns cannot deadlock.
#[must_use = "a turn that is taken leaves a gap in the audit unless its row is written"]
pub(crate) struct Turn {
    org: OrgId,
    seq: i64,
}

/// What an audit row tells.
pub(crate) struct Entry<'a> {
    pub(crate) at: Timestamp,
    pub(crate) actor: &'a str,
    pub(crate) action: &'static str,
    pub(crate) env_id: Option<EnvId>,
    pub(crate) detail: serde_json::Value,
}

/// Waits for the organization's turn; `None` when there is no such organization.
pub(crate) async fn turn(tx: &mut Tx, org: OrgId) -> Result<Option<Turn>> {
    let sql = "UPDATE organizations SET audit_seq = audit_seq + 1 WHERE id = $1 RETURNING audit_seq";
    let row: Option<(i64,)> = tx.first(sql, values![org]).await?;
    Ok(row.map(|(seq,)| Turn { org, seq }))
}

/// [`turn`], for an organization that rows refer to and that therefore exists.
pub(crate) async fn turn_of_existing(tx: &mut Tx, org: OrgId) -> Result<Turn> {
    turn(tx, org).await?.ok_or_else(|| StoreError::corrupt("organizations", org, "the row is gone"))
}

impl Turn {
    /// Writes the row.
    pub(crate) async fn record(self, tx: &mut Tx, entry: Entry<'_>) -> Result<()> {
        let sql = "INSERT INTO audit (org, seq, at, actor, action, env_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let Entry { at, actor, action, env_id, detail } = entry;
        tx.execute(
            sql,
            values![self.org, self.seq, at, actor, action, env_id.map(|env_id| env_id.0), detail.to_string()],
        )
        .await?;
        Ok(())
    }
}
