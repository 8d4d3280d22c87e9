//! Which components are trusted: signatures, the keys an operator trusts, and what was revoked.
//!
//! A [`TrustPolicy`] is asked twice. [`TrustPolicy::admit`] before anything of a component is looked at, with its
//! digest and the text of its signature; [`Admitted::confirm`] once the component has said what it is, since a
//! signature also says that. Whatever runs is asked about again with [`TrustPolicy::is_revoked`] when
//! [`TrustPolicy::refresh`] says that the list changed.
//!
//! Pure but for two functions: [`TrustPolicy::refresh`] reads the revocation list, and [`read_signature`] the file
//! beside a component. `docs/plugins/signing.md` is the format, byte for byte.

mod claim;
mod document;
mod error;
mod key;
mod policy;
mod revocations;
#[cfg(test)]
mod tests;

pub(crate) use claim::digest_bytes;
pub use claim::{Claim, digest};
pub use document::{MAX_SIGNATURE_BYTES, Signature, SignatureError, read_signature, signature_path};
pub use error::TrustError;
pub use key::{KeyError, PublicKey, SecretKey};
pub use policy::{Admitted, Signer, TrustPolicy, TrustSettings, TrustSettingsError};
pub use revocations::{RevocationError, Revocations};
