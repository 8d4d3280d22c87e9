//! Two engines behind one face: pools, transactions, and the values bound to statements.

use std::time::Duration;

use convergence_model::{EnvId, OperationId, OrgId, RevisionNumber, Scope, TenantId};
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Arguments, Encode, FromRow, PgPool, PgTransaction, Postgres, Sqlite, SqlitePool, SqliteTransaction, Type};

use crate::{Location, Result, StoreError, dialect};

/// How often a transaction is begun before the caller hears that the database is busy.
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// A pool of connections to one of the engines.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Sqlite { writer: SqlitePool, reader: SqlitePool },
    Postgres(PgPool),
}

/// A transaction that may write. Dropped without [`Tx::commit`], it leaves no trace.
pub(crate) enum Tx {
    Sqlite(SqliteTransaction<'static>),
    Postgres(PgTransaction<'static>),
}

/// A row either engine can return; `#[derive(sqlx::FromRow)]` gives both.
pub(crate) trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// What can be bound to a `$n`.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

/// The values of a statement, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::database::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! value_from {
    ($($from:ty => |$name:ident| $value:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $value
            }
        })+
    };
}

value_from! {
    &str => |text| Self::Text(Some(text.to_owned())),
    String => |text| Self::Text(Some(text)),
    Option<String> => |text| Self::Text(text),
    i64 => |int| Self::Int(Some(int)),
    Option<i64> => |int| Self::Int(int),
    u32 => |int| Self::Int(Some(int.into())),
    u16 => |int| Self::Int(Some(int.into())),
    usize => |int| Self::Int(Some(i64::try_from(int).unwrap_or(i64::MAX))),
    &[u8] => |bytes| Self::Bytes(Some(bytes.to_owned())),
    Option<Vec<u8>> => |bytes| Self::Bytes(bytes),
    OrgId => |id| Self::Int(Some(id.0)),
    EnvId => |id| Self::Int(Some(id.0)),
    RevisionNumber => |number| Self::Int(Some(number.0)),
    TenantId => |id| Self::Text(Some(id.to_string())),
    OperationId => |id| Self::Text(Some(id.to_string())),
    Timestamp => |time| Self::Int(Some(time.as_microsecond())),
    // NULL is "every organization": `($n IS NULL OR org = $n)`.
    &Scope => |scope| Self::Int(scope.organization().map(|org| org.0)),
}

fn bind<DB>(values: Vec<Value>) -> Result<DB::Arguments>
where
    DB: sqlx::Database,
    Option<String>: for<'t> Encode<'t, DB> + Type<DB>,
    Option<i64>: for<'t> Encode<'t, DB> + Type<DB>,
    Option<Vec<u8>>: for<'t> Encode<'t, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        match value {
            Value::Text(text) => arguments.add(text),
            Value::Int(int) => arguments.add(int),
            Value::Bytes(bytes) => arguments.add(bytes),
        }
        .map_err(StoreError::Refused)?;
    }
    Ok(arguments)
}

impl Database {
    pub(crate) async fn open(location: &str) -> Result<Self> {
        match Location::parse(location)? {
            Location::Server(url) => dialect::open_postgres(url).await.map(Self::Postgres),
            Location::File(path) => {
                let (writer, reader) = dialect::open_sqlite(path).await?;
                Ok(Self::Sqlite { writer, reader })
            }
        }
    }

    pub(crate) fn engine_name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Rows of a statement that only reads.
    pub(crate) async fn all<T: Row>(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>> {
        match self {
            Self::Sqlite { reader, .. } => {
                Ok(sqlx::query_as_with(sql, bind::<Sqlite>(values)?).fetch_all(reader).await?)
            }
            Self::Postgres(pool) => Ok(sqlx::query_as_with(sql, bind::<Postgres>(values)?).fetch_all(pool).await?),
        }
    }

    /// The first row of a statement that only reads.
    pub(crate) async fn first<T: Row>(&self, sql: &'static str, values: Vec<Value>) -> Result<Option<T>> {
        Ok(self.all(sql, values).await?.into_iter().next())
    }

    /// The statement that finds operations that nobody would take.
    pub(crate) fn unclaimable_statement(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => dialect::SQLITE_UNCLAIMABLE,
            Self::Postgres(_) => dialect::POSTGRES_UNCLAIMABLE,
        }
    }

    /// Runs `work`, which begins a transaction and commits it, again when the engine asks for that.
    pub(crate) async fn retry<T, F>(&self, work: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match work().await {
                Err(StoreError::Busy(cause)) => {
                    tracing::debug!(%cause, ?pause, "the database was busy; trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        work().await
    }

    pub(crate) async fn begin(&self) -> Result<Tx> {
        match self {
            Self::Sqlite { writer, .. } => Ok(Tx::Sqlite(writer.begin_with(dialect::SQLITE_BEGIN).await?)),
            Self::Postgres(pool) => Ok(Tx::Postgres(pool.begin().await?)),
        }
    }
}

impl Tx {
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => Ok(tx.commit().await?),
            Self::Postgres(tx) => Ok(tx.commit().await?),
        }
    }

    /// How many rows a statement changed.
    pub(crate) async fn execute(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        match self {
            Self::Sqlite(tx) => {
                Ok(sqlx::query_with(sql, bind::<Sqlite>(values)?).execute(&mut **tx).await?.rows_affected())
            }
            Self::Postgres(tx) => {
                Ok(sqlx::query_with(sql, bind::<Postgres>(values)?).execute(&mut **tx).await?.rows_affected())
            }
        }
    }

    /// The rows a statement returns.
    pub(crate) async fn all<T: Row>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<T>> {
        match self {
            Self::Sqlite(tx) => Ok(sqlx::query_as_with(sql, bind::<Sqlite>(values)?).fetch_all(&mut **tx).await?),
            Self::Postgres(tx) => Ok(sqlx::query_as_with(sql, bind::<Postgres>(values)?).fetch_all(&mut **tx).await?),
        }
    }

    /// The first row a statement returns, if it returns any.
    pub(crate) async fn first<T: Row>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Option<T>> {
        Ok(self.all(sql, values).await?.into_iter().next())
    }

    /// The row of a statement that always returns one.
    pub(crate) async fn one<T: Row>(&mut self, sql: &'static str, values: Vec<Value>) -> Result<T> {
        self.first(sql, values).await?.ok_or_else(|| StoreError::from(sqlx::Error::RowNotFound))
    }

    /// The database's own clock in microseconds since 1970.
    pub(crate) async fn clock(&mut self) -> Result<i64> {
        let sql = match self {
            Self::Sqlite(_) => dialect::SQLITE_CLOCK,
            Self::Postgres(_) => dialect::POSTGRES_CLOCK,
        };
        let (micros,): (i64,) = self.one(sql, Vec::new()).await?;
        Ok(micros)
    }

    /// The statement that claims an operation.
    pub(crate) fn claim_statement(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => dialect::SQLITE_CLAIM,
            Self::Postgres(_) => dialect::POSTGRES_CLAIM,
        }
    }

    /// The statement that renews the leases of a worker.
    pub(crate) fn renew_statement(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => dialect::SQLITE_RENEW,
            Self::Postgres(_) => dialect::POSTGRES_RENEW,
        }
    }
}
