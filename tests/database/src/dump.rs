//! Loading a database that another version of the product left, from the text it was dumped as.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::{Fresh, Kept};

impl Fresh {
    /// Loads a dump into this database, which must be empty: one of `sqlite3`'s `.dump` for an SQLite file, one of
    /// `pg_dump --inserts` without `\` commands for PostgreSQL.
    pub async fn load(&self, dump: &str) {
        let statements = sqlx::raw_sql(AssertSqlSafe(dump.to_owned()));
        match &self.kept {
            Kept::Folder { .. } => {
                let options = SqliteConnectOptions::new().filename(&self.location).create_if_missing(true);
                // A dump fills the tables in the order of their names.
                let mut connection = options.foreign_keys(false).connect().await.expect("the folder is writable");
                statements.execute(&mut connection).await.expect("the dump can be loaded");
                let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await;
                assert!(broken.expect("the check runs").is_empty(), "the dump refers to rows that it does not have");
                connection.close().await.expect("nothing is left to be written");
            }
            Kept::Server { .. } => {
                // The dump changes settings of the session, which ends here.
                let mut connection = PgConnection::connect(&self.location).await.expect("the database is there");
                statements.execute(&mut connection).await.expect("the dump can be loaded");
                connection.close().await.expect("nothing is left to be written");
            }
        }
    }
}
