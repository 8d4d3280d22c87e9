//! Why an upload is refused, for clients.

use std::collections::BTreeSet;

use convergence_model::{Code, Violation};
use convergence_source::{GitError, SourceError};

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

/// What of a request is wrong with a repository, if it is something in the request.
pub(crate) fn wrong_with(error: &GitError) -> Option<Violation> {
    let (field, code) = match error {
        GitError::Url(_) => ("url", "bad-form"),
        GitError::Reference { .. } => ("ref", "bad-form"),
        GitError::HostNotAllowed { .. } | GitError::AddressNotAllowed { .. } => ("url", "not-allowed"),
        GitError::NotFound { .. } => ("url", "not-found"),
        GitError::Redirected { .. } => ("url", "redirected"),
        GitError::ReferenceAbsent { .. } | GitError::NotACommit { .. } => ("ref", "not-found"),
        GitError::Submodules { .. } | GitError::Lfs { .. } => ("url", "not-supported"),
        // The operator named the host: that it is not found now is more likely the network.
        GitError::Unresolved { .. }
        | GitError::NoAnswer { .. }
        | GitError::Certificate { .. }
        | GitError::TooLarge(_)
        | GitError::TooSlow(_)
        | GitError::Unusable(_)
        | GitError::Failed(_)
        | GitError::Source(_) => return None,
    };
    Some(Violation::deny(format!("source.git.{field}"), code, error.to_string()))
}

impl From<GitError> for Problem {
    fn from(error: GitError) -> Self {
        if let Some(violation) = wrong_with(&error) {
            return Self::invalid(&[violation]);
        }
        let code = match error {
            GitError::Source(error) => return error.into(),
            GitError::TooLarge(_) => Code::TooLarge,
            GitError::Unusable(_) => Code::GitUnusable,
            _ => Code::GitFailed,
        };
        Self::new(code, error.to_string())
    }
}

impl Fails for GitError {
    fn codes() -> BTreeSet<Code> {
        let mut codes = SourceError::codes();
        codes.extend([Code::Invalid, Code::GitFailed, Code::GitUnusable]);
        codes
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
