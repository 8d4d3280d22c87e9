//! Why an upload is refused, for clients.

use std::collections::BTreeSet;

use convergence_model::Code;
use convergence_source::SourceError;

use crate::document::Fails;
use crate::problem::Problem;

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        let code = match &error {
            SourceError::Unreadable(_) | SourceError::Refused(_) => Code::ArchiveRefused,
            SourceError::TooLarge(_) => Code::TooLarge,
            SourceError::Checksum { .. } => Code::ChecksumMismatch,
            SourceError::Cut { .. } => Code::Truncated,
            SourceError::TooSlow(_) => Code::UploadTooSlow,
            SourceError::Busy { .. } => Code::UploadsBusy,
            SourceError::Full(_) => Code::SourcesFull,
            SourceError::Folder(_) => return Self::internal(&error),
        };
        Self::new(code, error.to_string())
    }
}

impl Fails for SourceError {
    fn codes() -> BTreeSet<Code> {
        BTreeSet::from([
            Code::ArchiveRefused,
            Code::TooLarge,
            Code::ChecksumMismatch,
            Code::Truncated,
            Code::UploadTooSlow,
            Code::UploadsBusy,
            Code::SourcesFull,
            Code::Internal,
        ])
    }
}

/// The folder of sources cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) std::io::Error);

impl From<Unreadable> for Problem {
    fn from(Unreadable(error): Unreadable) -> Self {
        Self::internal(&error)
    }
}

impl Fails for Unreadable {
    fn codes() -> BTreeSet<Code> {
        BTreeSet::from([Code::Internal])
    }
}
