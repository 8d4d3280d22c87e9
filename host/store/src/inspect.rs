//! A database as it is, for a command that looks and must change nothing: no table is brought up to date.

use crate::database::{Database, values};
use crate::{Location, Result, Store, dialect};

/// What a database is to this version of the program.
#[derive(Debug)]
pub enum Inspected {
    /// Its tables are this version's. The store can only read.
    Current(Store),
    /// Its tables are an earlier version's: a server brings them up to date when it starts.
    Older {
        /// The newest migration it has; 0 where it has none.
        found: i64,
        /// The newest migration there is.
        known: i64,
    },
    /// Its tables are a later version's: this version does not start with it.
    Newer {
        /// The newest migration it has.
        found: i64,
        /// The newest migration this version knows.
        known: i64,
    },
}

impl Store {
    /// Opens a database that exists, only to read it; also beside a server that has it open.
    ///
    /// # Errors
    /// [`StoreError::Location`](crate::StoreError::Location); when the database does not answer, or is another program's.
    pub async fn inspect(location: &str) -> Result<Inspected> {
        let (database, known) = match Location::parse(location)? {
            Location::File(path) => {
                let pool = dialect::open_sqlite_to_read(path).await?;
                (Database::Sqlite { writer: pool.clone(), reader: pool }, dialect::newest_sqlite_migration())
            }
            Location::Server(url) => {
                (Database::Postgres(dialect::open_postgres_to_read(url).await?), dialect::newest_postgres_migration())
            }
        };
        let newest: Option<(Option<i64>,)> =
            database.first("SELECT MAX(version) FROM _sqlx_migrations WHERE success", values![]).await?;
        let found = newest.and_then(|(version,)| version).unwrap_or_default();
        Ok(match found.cmp(&known) {
            std::cmp::Ordering::Equal => Inspected::Current(Self { database }),
            std::cmp::Ordering::Less => Inspected::Older { found, known },
            std::cmp::Ordering::Greater => Inspected::Newer { found, known },
        })
    }
}
