//! A database of a test's own, gone when the test is over.
//!
//! `cargo xtask test` runs what needs a database twice: once on SQLite, and once with `CONVERGENCE_TEST_ENGINE=postgres`
//! on the server that `CONVERGENCE_TEST_DATABASE_URL` names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that has no database has failed")]
#![expect(clippy::disallowed_methods, reason = "nobody else can tell a test which database it is about")]

mod cutter;
mod dump;
mod file;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

pub use cutter::{Cut, Cutter};
pub use file::{FileLock, empty_log};

/// A database nobody used before.
#[derive(Debug)]
pub struct Fresh {
    location: String,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Folder { _folder: TempDir },
    Server { url: String, name: String },
}

impl Fresh {
    /// One on the engine that this run is about.
    pub async fn new() -> Self {
        if is_postgres() { Self::postgres().await } else { Self::sqlite() }
    }

    /// An SQLite file that does not exist yet, in memory where the system has files there: what these tests try does not
    /// depend on a disk, and waiting for one is most of what they would do.
    pub fn sqlite() -> Self {
        let memory = Path::new("/dev/shm");
        Self::in_folder(if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() })
    }

    /// An SQLite file on a disk, for what is about the time that takes.
    pub fn on_disk() -> Self {
        Self::in_folder(TempDir::new())
    }

    fn in_folder(folder: std::io::Result<TempDir>) -> Self {
        let folder = folder.expect("the temporary folder is writable");
        let location = folder.path().join("state.db").to_str().expect("a path of ours is UTF-8").to_owned();
        Self { location, kept: Kept::Folder { _folder: folder } }
    }

    /// A database of a PostgreSQL server.
    pub async fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("CONVERGENCE_TEST_DATABASE_URL").expect(
            "CONVERGENCE_TEST_DATABASE_URL is not set: give the url of a PostgreSQL server where databases may be created; \
             `cargo xtask test` starts one",
        );
        let name = format!("convergence_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        // A run that was killed may have left one of this name.
        run(&url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&url, &format!("CREATE DATABASE {name}")).await;
        let (base, _) = url.rsplit_once('/').expect("a url that ends in the name of a database");
        Self { location: format!("{base}/{name}"), kept: Kept::Server { url: url.clone(), name } }
    }

    /// As `Store::open` and the server's `database` take it.
    pub fn location(&self) -> &str {
        &self.location
    }
}

/// Whether this run is about PostgreSQL.
pub fn is_postgres() -> bool {
    std::env::var("CONVERGENCE_TEST_ENGINE").is_ok_and(|engine| engine == "postgres")
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let Kept::Server { url, name } = &self.kept else { return };
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // Dropping happens inside a test's own runtime, where nothing may block; a thread of its own may.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(run(url, &drop));
            });
        });
    }
}

async fn run(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the PostgreSQL server of the tests answers");
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(&mut connection).await.expect("databases may be created there");
}
