//! Why a component is not trusted, in words for the operator.

use jiff::Timestamp;

use super::document::SignatureError;

/// Why a component is not trusted. The sentences follow the name of the component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There is no signature and there must be one.
    #[error(
        "it is not signed, and `require-signatures` is on: sign it with `convergence plugin sign`, or put its `.sig` file beside it"
    )]
    Missing,
    /// What is there is no signature.
    #[error("its signature cannot be read: {0}; sign it again with `convergence plugin sign`")]
    Malformed(SignatureError),
    /// It is signed by somebody else.
    #[error(
        "it is signed with the key {key}, which is not trusted here; if you trust its owner add the public key to `keys` in [trust]"
    )]
    UntrustedKey {
        /// The fingerprint the signature names.
        key: String,
    },
    /// The signature is one of another file.
    #[error(
        "its signature is over {signed}, and the file is {actual}: one of the two was changed or replaced; get both again from their author"
    )]
    WrongBytes {
        /// The digest that was signed.
        signed: String,
        /// The digest of the file.
        actual: String,
    },
    /// The signature was not made by the key it names.
    #[error("its signature is not by the key `{name}` that it names: it was altered; get it again from its author")]
    Forged {
        /// The key's name in the configuration.
        name: String,
    },
    /// It was good once.
    #[error("its signature by `{name}` expired at {at}; sign it again with a later expiry")]
    Expired {
        /// The key's name in the configuration.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// The key was revoked.
    #[error("the key {key} that signed it was revoked: {reason}; have it signed with another key")]
    KeyRevoked {
        /// The fingerprint.
        key: String,
        /// From the revocation list.
        reason: String,
    },
    /// These bytes were revoked.
    #[error("this component ({digest}) was revoked: {reason}; install another version")]
    DigestRevoked {
        /// Of the component.
        digest: String,
        /// From the revocation list.
        reason: String,
    },
    /// It is signed as something else than it says it is.
    #[error(
        "it says that its {what} is `{actual}`, and it was signed as `{signed}`: do not use it before you know why"
    )]
    SignedAs {
        /// `id`, `version` or `kind`.
        what: &'static str,
        /// What the signature says.
        signed: String,
        /// What the component says.
        actual: String,
    },
    /// It is not known what was revoked.
    #[error("nothing is installed while it is unknown what was revoked: {0}")]
    RevocationsUnknown(String),
}
