//! Why there is no source.

use std::io;
use std::time::Duration;

/// Why an archive was not taken. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not an archive that can be read.
    #[error("{0}")]
    Unreadable(String),
    /// Something in it is not allowed.
    #[error("{0}")]
    Refused(String),
    /// It is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// What arrived is not what the sender said it would be.
    #[error("the archive is not what its checksum says: {got} arrived, {wanted} was said; send it again")]
    Checksum {
        /// In hexadecimal digits, SHA-256.
        wanted: String,
        /// In hexadecimal digits, SHA-256.
        got: String,
    },
    /// The body ended before all of it arrived.
    #[error("the archive was cut off after {bytes} bytes: {cause}; send it again")]
    Cut {
        /// Bytes that arrived.
        bytes: u64,
        /// What was seen.
        cause: String,
    },
    /// The sender is too slow.
    #[error("the archive did not arrive in time: {0}")]
    TooSlow(String),
    /// There is no room for it.
    #[error("{0}")]
    Full(String),
    /// As many uploads as are allowed are under way.
    #[error("{at_once} uploads are under way, as many as are received at the same time; send it again in {} s", .retry.as_secs())]
    Busy {
        /// How many are allowed.
        at_once: usize,
        /// When to try again.
        retry: Duration,
    },
    /// The folder of sources cannot be written or read.
    #[error("the folder of sources cannot be used: {0}")]
    Folder(io::Error),
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull {
            return Self::Full(format!("the server's disk is full: {error}; tell its operator"));
        }
        Self::Folder(error)
    }
}

impl SourceError {
    /// What was read of an archive cannot be right.
    pub(crate) fn unreadable(format: &str, error: &io::Error) -> Self {
        Self::Unreadable(format!("the archive cannot be read as {format}: {error}; make it again"))
    }
}
