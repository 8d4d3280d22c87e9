//! What can go wrong, told so that a tired operator knows what to do.

use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, OperationId, OrgId, RevisionNumber, SourceDigest, TenantId, TenantName, Verb};

/// What lies beneath an error; for logs, never for clients.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction was in the way each time it was tried. Nothing was changed; trying again is safe.
    #[error(
        "the database was busy with other transactions each time this was tried; nothing was changed, try again in a moment"
    )]
    Busy(#[source] Cause),
    /// The database cannot be reached, or cannot read or write its files. Whether a commit that was under
    /// way took effect is not known.
    #[error(
        "the database does not answer: {0}; check that its server is up, that its file can be read and written and that the disk is not full"
    )]
    Unavailable(#[source] Cause),
    /// The request is at odds with what is stored. Nothing was changed.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Another worker has taken the operation over, or it is finished. Nothing was changed; stop working on it.
    #[error(
        "the lease of epoch {epoch} on operation {operation} is lost: another worker holds it or the operation is finished; nothing was changed"
    )]
    LeaseLost {
        /// The operation.
        operation: OperationId,
        /// The epoch the worker believed it held.
        epoch: i64,
    },
    /// A row holds what this version cannot read.
    #[error(
        "row {id} of table {table} cannot be read: {reason}; restore it from a backup, or run the version that wrote it"
    )]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tables could not be brought up to date.
    #[error(
        "the database's tables could not be brought up to date: {0}; a database of a newer version cannot be opened by an older server"
    )]
    Migration(#[source] Cause),
    /// The location names no database this room can open.
    #[error("{0:?} is no database; give the path of an SQLite file or a postgres:// url")]
    Location(String),
    /// The database refused a statement. A defect of this program, or tables changed by hand.
    #[error("the database refused a statement: {0}; this is a defect, or the tables were changed by hand")]
    Refused(#[source] Cause),
}

/// How a request is at odds with what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The organization is absent, or out of the caller's reach.
    #[error("there is no organization {0}")]
    NoOrganization(OrgId),
    /// A tenant of this organization has that name, or one that differs in case only.
    #[error(
        "the tenant {env_id} has the name {by} already, and case makes no difference; choose another name, or destroy it first"
    )]
    NameTaken {
        /// As that tenant is called.
        by: TenantName,
        /// That tenant.
        env_id: EnvId,
    },
    /// More than one tenant has a name that differs from this one in case only.
    #[error("more than one tenant is called {name} if case makes no difference: {}; use the number", .tenants.join(", "))]
    NameAmbiguous {
        /// As it was asked for.
        name: TenantName,
        /// Those tenants, each with its number and name.
        tenants: Vec<String>,
    },
    /// The organization has as many tenants as it may.
    #[error("the organization has {limit} tenants, as many as it may; destroy one first")]
    QuotaReached {
        /// How many it may have.
        limit: u32,
    },
    /// Another exclusive operation on the subject is not finished.
    #[error("operation {operation} is not finished; wait until it is, then send the request again")]
    SubjectBusy {
        /// That operation.
        operation: OperationId,
    },
    /// Something else was done to the subject since.
    #[error(
        "something else was done to the tenant since operation {operation}; ask for it anew instead of retrying it"
    )]
    Overtaken {
        /// The operation that was to be retried.
        operation: OperationId,
    },
    /// A tenant in this state cannot be asked to do that.
    #[error("the tenant is {}, and cannot be asked to {verb}; it can be asked to: {}", .status.as_str(), Verb::allowed(*.status))]
    NotInThisState {
        /// What was asked.
        verb: Verb,
        /// What it is doing.
        status: TenantStatus,
    },
    /// The name that was given again is not the tenant's.
    #[error("`confirm` is not the tenant's name, which is {name}; nothing was destroyed")]
    NamedOtherwise {
        /// As it is called.
        name: TenantName,
    },
    /// A protected tenant is not destroyed unless it is named again.
    #[error(
        "the tenant {name} is protected; to destroy it all the same, name it again with `confirm={name}`, or end the protection first"
    )]
    Protected {
        /// As it is called.
        name: TenantName,
    },
    /// As much is waiting to be done as may.
    #[error("{limit} operations are waiting or under way, as many as may be; try again in a moment")]
    QueueFull {
        /// How many may.
        limit: u32,
    },
    /// The idempotency key came with another request before.
    #[error("this idempotency key was sent with another request before; choose a new key for a new request")]
    KeyReused,
    /// The same request with the same idempotency key has begun an operation already.
    #[error("this request has begun operation {operation} already")]
    AlreadyBegun {
        /// That operation.
        operation: OperationId,
    },
    /// There is no such operation within reach.
    #[error("there is no operation {operation}")]
    NoOperation {
        /// What was asked for.
        operation: OperationId,
    },
    /// The operation is over.
    #[error("operation {operation} is over: it is {state}")]
    Over {
        /// That operation.
        operation: OperationId,
        /// How it ended.
        state: &'static str,
    },
    /// What an operation of this kind does cannot be undone.
    #[error("a {kind} cannot be cancelled: what it does cannot be undone")]
    NotCancellable {
        /// Its kind.
        kind: String,
    },
    /// The operation is not one that can be tried again.
    #[error(
        "operation {operation} is {state} and cannot be tried again; only one that is stuck can, or one that failed and left its tenant as it is"
    )]
    NotRetryable {
        /// That operation.
        operation: OperationId,
        /// How it is.
        state: &'static str,
    },
    /// No port is free.
    #[error("no port from {first} to {last} is free; widen the range or destroy a tenant")]
    PortsExhausted {
        /// The first port of the range.
        first: u16,
        /// Its last port.
        last: u16,
    },
    /// No network is free.
    #[error("all {count} tenant networks are in use; enlarge the pool or destroy a tenant")]
    SubnetsExhausted {
        /// How many the pool holds.
        count: u32,
    },
    /// Another deployment came since this one was planned.
    #[error("revision {number} came since this was planned; send the request again")]
    NewerRevision {
        /// The newest revision.
        number: RevisionNumber,
    },
    /// Its configuration was changed since this was planned.
    #[error("the tenant's configuration was changed by somebody else meanwhile; send the request again")]
    ChangedMeanwhile,
    /// A deployment is under way, which would undo a change that is only kept.
    #[error(
        "a deployment of the tenant is under way, and a change that waits for the next one would be lost; wait until it is over, or deploy the change"
    )]
    Deploying,
    /// The organization keeps as many bytes of sources as it may.
    #[error(
        "the organization keeps {bytes} bytes of sources, and {limit} are allowed; unused ones are removed after some time"
    )]
    SourcesFull {
        /// Bytes that it keeps.
        bytes: u64,
        /// Bytes that it may keep.
        limit: u64,
    },
    /// The organization does not have this source.
    #[error("the organization has no source {digest}; upload it first")]
    NoSource {
        /// As it was named.
        digest: SourceDigest,
    },
    /// A revision that is built already was said to be built differently.
    #[error("revision {number} of tenant {tenant} is built already, from something else; what was built never changes")]
    AlreadyBuilt {
        /// The tenant.
        tenant: TenantId,
        /// The revision.
        number: RevisionNumber,
    },
}

impl StoreError {
    /// A row that cannot be read.
    pub(crate) fn corrupt(table: &'static str, id: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt { table, id: id.to_string(), reason: reason.to_string() }
    }
}
