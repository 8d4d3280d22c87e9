//! What another process may do to an SQLite file that a server uses.

use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

/// Longer than any transaction of a server takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A lock on an SQLite file: nobody else writes while this lives.
#[derive(Debug)]
pub struct FileLock {
    connection: SqliteConnection,
}

impl FileLock {
    /// Waits for the current writer, and locks the file.
    pub async fn take(path: &str) -> Self {
        let mut connection = connect(path).await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.expect("no transaction takes that long");
        Self { connection }
    }

    /// Lets others write again.
    pub async fn release(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await.expect("the lock is ours");
        self.connection.close().await.expect("nothing is left to be written");
    }
}

/// Moves what the write-ahead log holds into the file, and gives back the room the log took: what is written next takes
/// room on the disk again.
pub async fn empty_log(path: &str) {
    let mut connection = connect(path).await;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("the log can be emptied");
    connection.close().await.expect("nothing is left to be written");
}

async fn connect(path: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(PATIENCE);
    options.connect().await.expect("the file is there")
}
