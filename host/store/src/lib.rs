//! Durable state in SQLite or PostgreSQL. The only user of sqlx.
//!
//! One concrete type, [`Store`], speaks both engines with one SQL text; the few places where the engines
//! differ are in `dialect.rs`, the plumbing that hides which one answers is in `database.rs`, and every noun
//! has a file of its own.
//!
//! Three rules hold for everything here:
//! - A function on tenant-owned rows takes a [`convergence_model::Scope`]; a foreign row answers exactly like
//!   an absent one.
//! - What a worker writes carries its [`Lease`]; a worker that lost its lease changes nothing and is told so
//!   ([`StoreError::LeaseLost`]).
//! - What happens is one transaction, audit row included. Transactions the engine asks to repeat are repeated
//!   inside, a bounded number of times.
//!
//! This room never reads a clock for what it stores and never invents an id (the public ids excepted, which
//! the database numbers). Only leases count on the database's own clock, so that servers with different
//! clocks agree who holds one. It never calls a plugin or a container engine.

mod audit;
mod binding;
mod change;
mod checkpoint;
mod configuration;
mod crash;
mod database;
mod decode;
mod deployment;
mod dialect;
mod duty;
mod error;
mod event;
mod idempotency;
mod inspect;
mod installation;
mod key;
mod lease;
mod let_go;
mod name;
mod operation;
mod organization;
mod outcome;
mod plugin;
mod prune;
mod registry;
mod request;
mod revision;
mod schedule;
mod sealing;
mod secret;
mod signal;
mod source;
mod tenant;

#[cfg(test)]
mod tests;

pub use change::TenantChange;
pub use checkpoint::{StepDone, Until};
pub use configuration::NewConfiguration;
pub use crash::Standing;
pub use deployment::{Base, Deployment, NewDeployment, Retired};
pub use error::{Cause, Conflict, StoreError};
pub use event::NewEvent;
pub use inspect::Inspected;
pub use installation::{Location, Ownership};
pub use key::{KeyOwner, KeyVerifier};
pub use lease::{Claimed, Lease, Renewed, Wanted};
pub use operation::{Backlog, Idempotency, NewOperation, OperationQuery, Unclaimable};
pub use organization::Organization;
pub use outcome::{Effect, Ending};
pub use registry::{NewRegistry, Registry, SealedRegistry};
pub use request::{Entry, PLATFORM, PLATFORM_ORG};
pub use revision::NewRevision;
pub use sealing::{SealedIn, SealedRow, SealingKey};
pub use secret::{NewSecret, SecretVersion};
pub use signal::{Signal, SignalKey, Woken};
pub use tenant::{LOCAL_NODE, NewSpawn, Spawned, SubnetPool, TenantQuery};

use database::{Database, values};

/// What every function of this room returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The database. Cheap to clone: clones share their connections.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens a database and brings its tables up to date.
    ///
    /// `location` is `postgres://…` or `postgresql://…` for PostgreSQL; anything else without a scheme, and
    /// `sqlite:<path>`, is the path of an SQLite file, which is made (readable by its owner only) if it is
    /// not there. The folder it lies in must exist.
    ///
    /// # Errors
    /// [`StoreError::Location`] when `location` names neither, [`StoreError::Unavailable`] when the file or
    /// server cannot be opened, [`StoreError::Migration`] when the tables cannot be brought up to date.
    pub async fn open(location: &str) -> Result<Self> {
        let database = Database::open(location).await?;
        Ok(Self { database })
    }

    /// Writes one row, to see whether that can be done: a disk that is full and a file that somebody else keeps locked can
    /// still be read. Cheap enough for a readiness check.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Busy`] when it cannot.
    pub async fn check(&self) -> Result<()> {
        let mut tx = self.database.begin().await?;
        let clock = tx.clock().await?;
        let sql = "INSERT INTO duties (name, holder, until) VALUES ('check', '', $1) \
             ON CONFLICT (name) DO UPDATE SET until = excluded.until";
        tx.execute(sql, values![clock]).await?;
        tx.commit().await
    }

    /// Closes every connection once what is running on it has finished. Calls after this one fail.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// `sqlite` or `postgres`.
    pub fn engine_name(&self) -> &'static str {
        self.database.engine_name()
    }
}
