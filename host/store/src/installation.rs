//! Whose database this is: asked before anything is written, and stored at the first start.

use std::path::Path;

use crate::database::values;
use crate::{Result, Store, StoreError, dialect};

/// Where a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location<'a> {
    /// An SQLite file.
    File(&'a Path),
    /// The url of a PostgreSQL database; it may hold a password.
    Server(&'a str),
}

impl<'a> Location<'a> {
    /// Reads a location as [`Store::open`] takes it.
    ///
    /// # Errors
    /// [`StoreError::Location`] when it names neither kind of database.
    pub fn parse(location: &'a str) -> Result<Self> {
        if location.starts_with("postgres://") || location.starts_with("postgresql://") {
            return Ok(Self::Server(location));
        }
        let path = location.strip_prefix("sqlite://").or_else(|| location.strip_prefix("sqlite:")).unwrap_or(location);
        match path.split_once("://") {
            // The rest may hold a password: it is not repeated.
            Some((scheme, _)) => Err(StoreError::Location(format!("{scheme}://…"))),
            None if path.is_empty() || path.starts_with(":memory:") => Err(StoreError::Location(path.to_owned())),
            None => Ok(Self::File(Path::new(path))),
        }
    }
}

/// Whose a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Nobody's: the file does not exist, there are no tables, or no installation finished its first start with it.
    Nobody,
    /// An installation's.
    Installation {
        /// The installation's id.
        id: String,
        /// Derived from the installation's master key.
        key_check: String,
    },
    /// Another program's.
    Foreign {
        /// One of that program's tables.
        table: String,
    },
}

impl Ownership {
    /// Reads whose database this is. Changes nothing: no file is made, and no table, and the files of an SQLite database keep
    /// every byte, its write-ahead log included. Only for a database that no server of this program has open.
    ///
    /// # Errors
    /// [`StoreError::Location`]; when the database does not answer, or what it holds cannot be read.
    pub async fn read(location: &str) -> Result<Self> {
        let (tables, row) = match Location::parse(location)? {
            Location::File(path) => dialect::owner_of_file(path).await?,
            Location::Server(url) => dialect::owner_of_server(url).await?,
        };
        Ok(match (row, tables.into_iter().find(|table| table != MIGRATIONS)) {
            (OwnerRow::Row(id, key_check), _) => Self::Installation { id, key_check },
            (OwnerRow::Empty, _) | (OwnerRow::NoTable, None) => Self::Nobody,
            (OwnerRow::NoTable, Some(table)) => Self::Foreign { table },
        })
    }
}

/// The table that every database of this program has, from its first migration on.
pub(crate) const OWNER_TABLE: &str = "installation";
/// The row in it.
pub(crate) const OWNER: &str = "SELECT id, key_check FROM installation";
/// What migrations are remembered in. A server that is killed during its first one leaves this table alone.
const MIGRATIONS: &str = "_sqlx_migrations";

/// The row that says whose database this is.
pub(crate) enum OwnerRow {
    /// There is no table for it.
    NoTable,
    /// The table has no row.
    Empty,
    /// Id and key check.
    Row(String, String),
}

impl Store {
    /// Makes the database this installation's, if it is nobody's yet. Answers the id of the installation it belongs
    /// to where that is another one, or where `key_check` (derived from the master key) is not the one it was made with.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn adopt_installation(&self, id: &str, key_check: &str) -> Result<Option<String>> {
        self.database
            .retry(|| async move {
                let mut tx = self.database.begin().await?;
                let sql = "INSERT INTO installation (one, id, key_check) VALUES (1, $1, $2) ON CONFLICT DO NOTHING";
                tx.execute(sql, values![id, key_check]).await?;
                let (kept, kept_check): (String, String) = tx.one(OWNER, values![]).await?;
                tx.commit().await?;
                Ok((kept != id || kept_check != key_check).then_some(kept))
            })
            .await
    }
}
