//! Tenants by name: unique in an organization without regard to case.

use convergence_model::name::Named;
use convergence_model::{EnvId, OrgId, Scope, TenantName};

use crate::database::{Tx, values};
use crate::{Conflict, Result, Store, StoreError};

/// Tenants with names that differ in case only that an error names.
const ALIKE_TOLD: u32 = 10;

impl Store {
    /// The number of the tenant of an organization that has this name, or `None` where there is none within reach. Case
    /// counts only where an earlier version accepted names that differ in nothing else.
    ///
    /// # Errors
    /// [`Conflict::NameAmbiguous`]; when the database does not answer.
    pub async fn tenant_named(&self, scope: &Scope, org: OrgId, name: &TenantName) -> Result<Option<EnvId>> {
        let sql = "SELECT env_id, name FROM tenants WHERE org = $1 AND ($2 IS NULL OR org = $2) AND name_key = $3 \
             ORDER BY CASE WHEN name = $4 THEN 0 ELSE 1 END, env_id LIMIT $5";
        let values = values![org, scope, name.key(), name.as_str(), ALIKE_TOLD];
        let rows: Vec<(i64, String)> = self.database.all(sql, values).await?;
        match rows.as_slice() {
            [] => Ok(None),
            [(env_id, _)] => Ok(Some(EnvId(*env_id))),
            [(env_id, exact), ..] if exact == name.as_str() => Ok(Some(EnvId(*env_id))),
            alike => {
                let tenants = alike.iter().map(|(env_id, name)| format!("{env_id} ({name})")).collect();
                Err(Conflict::NameAmbiguous { name: name.clone(), tenants }.into())
            }
        }
    }

    /// The names of all tenants within reach, in the order of their numbers.
    ///
    /// # Errors
    /// When the database does not answer or a row cannot be read.
    pub async fn tenant_names(&self, scope: &Scope) -> Result<Vec<Named>> {
        let sql = "SELECT org, env_id, name FROM tenants WHERE ($1 IS NULL OR org = $1) ORDER BY env_id";
        let rows: Vec<(i64, i64, String)> = self.database.all(sql, values![scope]).await?;
        let read = |(org, env_id, text): (i64, i64, String)| {
            Ok(Named { org: OrgId(org), env_id: EnvId(env_id), name: stored(env_id, &text)? })
        };
        rows.into_iter().map(read).collect()
    }
}

/// Refuses a name that a tenant of the organization has, other than `except`. The transaction has the organization's turn, so that no other one
/// adds the name meanwhile.
pub(crate) async fn refuse_taken(tx: &mut Tx, org: OrgId, name: &TenantName, except: Option<EnvId>) -> Result<()> {
    let sql =
        "SELECT env_id, name FROM tenants WHERE org = $1 AND name_key = $2 AND env_id <> $3 ORDER BY env_id LIMIT 1";
    let values = values![org, name.key(), except.unwrap_or(EnvId(0))];
    let Some((env_id, taken)): Option<(i64, String)> = tx.first(sql, values).await? else {
        return Ok(());
    };
    Err(Conflict::NameTaken { by: stored(env_id, &taken)?, env_id: EnvId(env_id) }.into())
}

pub(crate) fn stored(env_id: i64, name: &str) -> Result<TenantName> {
    TenantName::stored(name).map_err(|wrong| StoreError::corrupt("tenants", env_id, wrong.message))
}
