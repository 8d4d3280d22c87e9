//! What a start finds before it changes anything.

use convergence_access::KeyRing;
use convergence_store::{Ownership, StoreError};

use super::files::Kept;

/// What a start finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) folder: Kept<()>,
    /// What the database keeps of the master key: derived from it, and no secret.
    pub(crate) master: Kept<String>,
    /// The installation's id.
    pub(crate) id: Kept<String>,
    pub(crate) server: Kept<()>,
    /// A first start began here and did not end.
    pub(crate) unfinished: bool,
    pub(crate) database: Database,
}

/// Whose the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Database {
    /// Nobody's: there is none, or nothing is in it.
    Empty,
    /// An installation's, with what it keeps of that one's master key.
    Of { id: String, key_check: String },
    /// Another program's, as this table shows.
    Foreign { table: String },
    /// That cannot be told, for this reason.
    Unreadable(String),
}

impl From<Result<Ownership, StoreError>> for Database {
    fn from(read: Result<Ownership, StoreError>) -> Self {
        match read {
            Ok(Ownership::Nobody) => Self::Empty,
            Ok(Ownership::Installation { id, key_check }) => Self::Of { id, key_check },
            Ok(Ownership::Foreign { table }) => Self::Foreign { table },
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// What a database keeps of the master key, so that it is never used with another one.
pub(crate) fn key_check(master: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(&KeyRing::new(master).purpose("installation-check"))
}
