//! Everywhere that the two engines differ.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, SqlStr, SqlitePool};

use crate::installation::{OWNER, OWNER_TABLE, OwnerRow};
use crate::{Result, StoreError};

/// How long a statement waits for another process that writes the same SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that read an SQLite file; they never wait for the one that writes.
const SQLITE_READERS: u32 = 4;
/// What `BUSY_TIMEOUT` is to SQLite; and a server that stalls in the middle of a transaction does not keep its
/// locks from the others for good.
const POSTGRES_TIME_LIMITS: &str = "SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s'";
/// Connections to a PostgreSQL server.
const POSTGRES_CONNECTIONS: u32 = 10;

/// Begins a transaction that writes. A deferred one on SQLite fails when it turns from reading to writing
/// while another one wrote.
pub(crate) const SQLITE_BEGIN: &str = "BEGIN IMMEDIATE";

/// The database's own clock, microseconds since 1970. What leases count on.
pub(crate) const SQLITE_CLOCK: &str = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)";
/// The database's own clock, microseconds since 1970. What leases count on.
pub(crate) const POSTGRES_CLOCK: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// Takes the oldest operation of a lane, of the first organization between `$8` and `$9`, that nobody works on and whose time
/// has come, or the one named by `$7`; only of kinds and checkpoints that the worker knows (`$6`). PostgreSQL's
/// workers pass over rows that another one is taking; SQLite has one writer at a time. One that is taken while it is
/// `running` has lost its worker.
macro_rules! claim {
    ($known:literal, $locking:literal) => {
        concat!(
            "UPDATE operations SET state = 'running', lease_owner = $1, lease_epoch = lease_epoch + 1, ",
            "lease_until = $2, updated_at = $3, ",
            "crashes = crashes + CASE WHEN state = 'running' THEN 1 ELSE 0 END WHERE id = (SELECT o.id FROM operations o ",
            "WHERE o.lane = $4 AND o.org > $8 AND o.org <= $9 AND o.state IN ('queued', 'running') ",
            "AND ((o.state = 'queued' AND o.not_before <= $5) OR (o.state = 'running' AND o.lease_until <= $5)) ",
            "AND ($7 IS NULL OR o.id = $7) AND EXISTS (SELECT 1 FROM ",
            $known,
            ") ORDER BY o.org, o.created_at, o.id LIMIT 1",
            $locking,
            ") RETURNING ",
            crate::operation::columns!(),
            ", lease_epoch, deadline"
        )
    };
}
pub(crate) const SQLITE_CLAIM: &str =
    claim!("json_each($6) k WHERE k.key = o.kind AND o.checkpoint_version <= k.value", "");
pub(crate) const POSTGRES_CLAIM: &str = claim!(
    "jsonb_each_text(CAST($6 AS JSONB)) AS k(key, value) WHERE k.key = o.kind AND o.checkpoint_version <= CAST(k.value AS BIGINT)",
    " FOR UPDATE OF o SKIP LOCKED"
);

/// Renews the leases of a worker that `$3` lists as `id:epoch`, all in one statement.
macro_rules! renew {
    ($list:literal) => {
        concat!(
            "UPDATE operations SET lease_until = $2 WHERE state = 'running' AND lease_owner = $1 ",
            "AND (id || ':' || lease_epoch) IN (SELECT ",
            $list,
            ") RETURNING id, lease_epoch, cancel"
        )
    };
}
pub(crate) const SQLITE_RENEW: &str = renew!("value FROM json_each($3)");
pub(crate) const POSTGRES_RENEW: &str = renew!("jsonb_array_elements_text(CAST($3 AS JSONB))");

/// Unfinished operations that no worker with the kinds and checkpoints of `$1` would take: their kind, the version of their
/// checkpoint, and how many.
macro_rules! unclaimable {
    ($known:literal) => {
        concat!(
            "SELECT o.kind, o.checkpoint_version, COUNT(*) FROM operations o ",
            "WHERE o.state IN ('queued', 'running', 'waiting') AND NOT EXISTS (SELECT 1 FROM ",
            $known,
            ") GROUP BY o.kind, o.checkpoint_version ORDER BY o.kind, o.checkpoint_version"
        )
    };
}
pub(crate) const SQLITE_UNCLAIMABLE: &str =
    unclaimable!("json_each($1) k WHERE k.key = o.kind AND o.checkpoint_version <= k.value");
pub(crate) const POSTGRES_UNCLAIMABLE: &str = unclaimable!(
    "jsonb_each_text(CAST($1 AS JSONB)) AS k(key, value) WHERE k.key = o.kind AND o.checkpoint_version <= CAST(k.value AS BIGINT)"
);

/// Every migration, oldest first: its number and the name of the file that each engine has.
macro_rules! migrations {
    ($engine:literal) => {
        Migrator::with_migrations(vec![
            migrations!($engine, 1, "0001_foundation"),
            migrations!($engine, 2, "0002_plugins"),
            migrations!($engine, 3, "0003_operations"),
            migrations!($engine, 4, "0004_work"),
            migrations!($engine, 5, "0005_let_go"),
            migrations!($engine, 6, "0006_names"),
            migrations!($engine, 7, "0007_deployments"),
            migrations!($engine, 8, "0008_protected"),
            migrations!($engine, 9, "0009_sealed"),
            migrations!($engine, 10, "0010_scaled"),
            migrations!($engine, 11, "0011_registries"),
        ])
    };
    ($engine:literal, $number:literal, $name:literal) => {{
        let text = include_str!(concat!("../../../migrations/", $engine, "/", $name, ".sql"));
        let text = SqlStr::from_static(text);
        Migration::new($number, Cow::Borrowed($name), MigrationType::Simple, text, false)
    }};
}

/// Opens an SQLite file: one connection that writes, several that read.
pub(crate) async fn open_sqlite(path: &Path) -> Result<(SqlitePool, SqlitePool)> {
    create_private(path).map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display()).into()))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false);
    // The writer stays open for good, so that the file is never without a connection and the write-ahead
    // log is not checkpointed and remade between requests.
    let writer = pool().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
    // SQLite takes a transaction back by itself when the disk is full, and then there is none to roll back, which sqlx takes
    // for one that is still open: a connection in that state begins nothing ever again.
    let writer = writer.before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }));
    let writer = writer.connect_with(options.clone()).await?;
    migrations!("sqlite").run(&writer).await.map_err(|error| StoreError::Migration(error.into()))?;
    let reader = pool().max_connections(SQLITE_READERS).connect_with(options.pragma("query_only", "1")).await?;
    Ok((writer, reader))
}

/// Makes the file if it is not there, for its owner's eyes only: it tells who runs what.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Connects to a PostgreSQL server.
pub(crate) async fn open_postgres(url: &str) -> Result<PgPool> {
    let options = postgres_options(url)?;
    // On a connection without the pool's time limits: another server may be at it for longer.
    let mut first = PgConnection::connect_with(&options).await?;
    migrations!("postgres").run(&mut first).await.map_err(|error| StoreError::Migration(error.into()))?;
    first.close().await?;
    let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    let pool = pool.after_connect(|connection, _| {
        Box::pin(async move { sqlx::raw_sql(POSTGRES_TIME_LIMITS).execute(connection).await.map(drop) })
    });
    Ok(pool.connect_with(options).await?)
}

fn postgres_options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url)
        // The url may hold a password: it is not repeated.
        .map_err(|_| StoreError::Location("a postgres url that cannot be parsed".to_owned()))?;
    Ok(options.application_name("convergence"))
}

/// Opens an SQLite file that exists, only to read it.
pub(crate) async fn open_sqlite_to_read(path: &Path) -> Result<SqlitePool> {
    let mut shared = path.as_os_str().to_owned();
    shared.push("-shm");
    // A server that has the file open shares an index of its log in this file. Without one nobody writes, and SQLite would
    // make it.
    let is_shared = Path::new(&shared).exists();
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(!is_shared);
    let options = options.busy_timeout(BUSY_TIMEOUT);
    Ok(SqlitePoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT).connect_with(options).await?)
}

/// Connects to a PostgreSQL server, only to read.
pub(crate) async fn open_postgres_to_read(url: &str) -> Result<PgPool> {
    let options = postgres_options(url)?.options([("default_transaction_read_only", "on")]);
    Ok(PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT).connect_with(options).await?)
}

/// The newest migration of SQLite databases.
pub(crate) fn newest_sqlite_migration() -> i64 {
    newest(&migrations!("sqlite"))
}

/// The newest migration of PostgreSQL databases.
pub(crate) fn newest_postgres_migration() -> i64 {
    newest(&migrations!("postgres"))
}

fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The tables of a database, and whose it says it is.
type Owner = (Vec<String>, OwnerRow);

/// The tables of an SQLite database.
const SQLITE_TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
/// The tables where those of this program are, or would be, without the tables of extensions.
const POSTGRES_TABLES: &str = "SELECT CAST(c.relname AS TEXT) FROM pg_class c \
     JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT EXISTS (SELECT 1 FROM pg_depend d \
     WHERE d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relname";

/// Asks an open connection, of either engine.
macro_rules! owner {
    ($connection:expr, $tables:expr) => {
        async {
            let tables: Vec<(String,)> = sqlx::query_as($tables).fetch_all($connection).await?;
            let tables: Vec<String> = tables.into_iter().map(|(table,)| table).collect();
            if !tables.iter().any(|table| table == OWNER_TABLE) {
                return Ok((tables, OwnerRow::NoTable));
            }
            let row: Option<(String, String)> = sqlx::query_as(OWNER).fetch_optional($connection).await?;
            Ok((tables, row.map_or(OwnerRow::Empty, |(id, key_check)| OwnerRow::Row(id, key_check))))
        }
        .await
    };
}
/// Reads whose an SQLite file is, and changes not a byte beside it. A file that is opened as usual gets its write-ahead log
/// and the index of that made, or moved into the file: a connection that only reads makes the index all the same.
pub(crate) async fn owner_of_file(path: &Path) -> Result<Owner> {
    let size = |path: &Path| match std::fs::metadata(path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::Unavailable(format!("{}: {error}", path.display()).into())),
    };
    // An empty file is what a first start leaves that was killed at once.
    if size(path)? == 0 {
        return Ok((Vec::new(), OwnerRow::NoTable));
    }
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let options = if size(Path::new(&log))? == 0 {
        options.immutable(true)
    } else {
        // What a server that was killed had committed is in the log. Without locks, and with the file to itself, SQLite
        // reads the log with an index in memory.
        options.vfs("unix-none").locking_mode(SqliteLockingMode::Exclusive)
    };
    let mut connection = options.connect().await?;
    let owner: Result<Owner> = owner!(&mut connection, SQLITE_TABLES);
    connection.close().await?;
    owner
}

/// Reads whose a PostgreSQL database is, and changes nothing in it.
pub(crate) async fn owner_of_server(url: &str) -> Result<Owner> {
    let options = postgres_options(url)?.options([("default_transaction_read_only", "on")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    let owner: Result<Owner> = owner!(&mut connection, POSTGRES_TABLES);
    connection.close().await?;
    owner
}

/// What an error of the engine means to a caller.
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        match &error {
            Error::Database(database) => match database.code().as_deref().map(Trouble::of_code) {
                Some(Trouble::Busy) => Self::Busy(error.into()),
                Some(Trouble::Unavailable) => Self::Unavailable(error.into()),
                Some(Trouble::Other) | None => Self::Refused(error.into()),
            },
            Error::ColumnDecode { index, source } => {
                Self::corrupt("(of the statement)", index.clone(), format!("column {index}: {source}"))
            }
            Error::Io(_)
            | Error::Tls(_)
            | Error::Protocol(_)
            | Error::PoolTimedOut
            | Error::PoolClosed
            | Error::WorkerCrashed
            | Error::BeginFailed => Self::Unavailable(error.into()),
            _ => Self::Refused(error.into()),
        }
    }
}

enum Trouble {
    Busy,
    Unavailable,
    Other,
}

impl Trouble {
    /// SQLite's codes are decimal numbers whose low byte is the kind; PostgreSQL's SQLSTATE has five places.
    fn of_code(code: &str) -> Self {
        if code.len() == 5 {
            return match code {
                // Serialization failure, deadlock, lock not available.
                "40001" | "40P01" | "55P03" => Self::Busy,
                // Idle in a transaction for too long.
                "25P03" => Self::Unavailable,
                // Connection, resources (disk full, too many connections), operator intervention, system error,
                // and a password that is wrong.
                _ if ["08", "53", "57", "58", "28"].iter().any(|class| code.starts_with(class)) => Self::Unavailable,
                _ => Self::Other,
            };
        }
        match code.parse::<i32>().map(|code| code & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED.
            Ok(5 | 6) => Self::Busy,
            // READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB.
            Ok(8 | 10 | 11 | 13 | 14 | 26) => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Trouble;

    #[test]
    fn codes_of_both_engines_tell_waiting_from_breaking() {
        for busy in ["5", "6", "261", "517", "40001", "40P01", "55P03"] {
            assert!(matches!(Trouble::of_code(busy), Trouble::Busy), "{busy}");
        }
        for unavailable in ["10", "13", "14", "26", "522", "08006", "53100", "57P01", "28P01", "25P03"] {
            assert!(matches!(Trouble::of_code(unavailable), Trouble::Unavailable), "{unavailable}");
        }
        for other in ["1", "19", "2067", "23505", "42P01", ""] {
            assert!(matches!(Trouble::of_code(other), Trouble::Other), "{other}");
        }
    }
}
