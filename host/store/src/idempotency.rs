//! Requests that are sent again: which operation the first one with a key began.

use convergence_model::operation::Operation;
use convergence_model::{OrgId, Scope};

use crate::database::{Tx, values};
use crate::decode::At;
use crate::operation::{Idempotency, OperationRow, columns};
use crate::{Conflict, Result, Store, StoreError};

#[derive(sqlx::FromRow)]
struct KeyedRow {
    #[sqlx(flatten)]
    operation: OperationRow,
    request_hash: Option<Vec<u8>>,
}

impl Store {
    /// The operation that the first request with this key began. Keys are an organization's own, and are kept for as long
    /// as their operation is.
    ///
    /// # Errors
    /// [`Conflict::KeyReused`] when the first request asked something else; when the database does not answer or the row
    /// cannot be read.
    pub async fn begun_with(&self, scope: &Scope, org: OrgId, asked: &Idempotency) -> Result<Option<Operation>> {
        let sql = concat!(
            "SELECT ",
            columns!(),
            ", request_hash FROM operations WHERE org = $1 AND idempotency_key = $2 AND ($3 IS NULL OR org = $3)"
        );
        let row: Option<KeyedRow> = self.database.first(sql, values![org, asked.key.as_str(), scope]).await?;
        let Some(row) = row else { return Ok(None) };
        if row.request_hash.as_deref() != Some(asked.request.as_slice()) {
            return Err(Conflict::KeyReused.into());
        }
        row.operation.read().map(Some)
    }
}

/// Refuses what was begun already, in the turn of its organization: of requests that come at the same time, one goes on.
pub(crate) async fn refuse_begun(tx: &mut Tx, org: OrgId, asked: Option<&Idempotency>) -> Result<()> {
    let Some(asked) = asked else { return Ok(()) };
    let sql = "SELECT id, request_hash FROM operations WHERE org = $1 AND idempotency_key = $2";
    let row: Option<(String, Option<Vec<u8>>)> = tx.first(sql, values![org, asked.key.as_str()]).await?;
    let Some((id, request)) = row else { return Ok(()) };
    if request.as_deref() != Some(asked.request.as_slice()) {
        return Err(Conflict::KeyReused.into());
    }
    let operation = At { table: "operations", id: &id }.parse("id", &id)?;
    Err(StoreError::from(Conflict::AlreadyBegun { operation }))
}
