//! The verdict: what the operator decided, applied to one component.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use serde::Deserialize;

use super::claim::Claim;
use super::document::Signature;
use super::error::TrustError;
use super::key::{KeyError, PublicKey};
use super::revocations::{RevocationError, Revocations, Stamp};
use crate::Kind;

/// What the operator decided: `[trust]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrustSettings {
    /// Whether a component without a signature by one of `keys` is refused.
    pub require_signatures: bool,
    /// Public keys, `ed25519:…`, by the names the operator gave them.
    pub keys: BTreeMap<String, String>,
    /// The file of what was revoked, if there is one.
    pub revocations: Option<PathBuf>,
}

/// Why the settings make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustSettingsError {
    /// A key is none.
    #[error("the key `{name}` of `keys` in [trust] is wrong: {error}")]
    Key {
        /// Its name.
        name: String,
        /// What is wrong.
        error: KeyError,
    },
    /// Two names for one key: which of them signed could not be told.
    #[error("`{first}` and `{second}` of `keys` in [trust] are the same key; remove one of them")]
    SameKey {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Nothing could be installed.
    #[error(
        "`require-signatures = true` in [trust] needs at least one key in `keys`, or nothing could be installed; `convergence plugin key generate` makes one"
    )]
    NoKeys,
}

/// Who signed a component, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The name of the key in the configuration.
    pub name: String,
    /// The fingerprint of the key.
    pub key: String,
    /// From when on the signature is no longer taken. It is looked at when a component is taken in, at a start too.
    pub expires: Timestamp,
}

/// Which components are trusted; all of them by default, signed or not. Share it in an `Arc`.
#[derive(Debug, Default)]
pub struct TrustPolicy {
    require: bool,
    /// Name and key by fingerprint.
    keys: BTreeMap<String, (String, PublicKey)>,
    path: Option<PathBuf>,
    revoked: RwLock<Arc<Revoked>>,
}

/// The list in force, and how well it is known.
#[derive(Debug, Default)]
struct Revoked {
    list: Revocations,
    /// Of the file that `list` or `broken` came from.
    stamp: Option<Stamp>,
    /// Why the file that is there now is not what is in force.
    broken: Option<RevocationError>,
    /// Whether there was ever one to read, where one is configured.
    read: bool,
}

impl TrustPolicy {
    /// Reads the keys. Where a revocation list is configured nothing is admitted before [`Self::refresh`] has read it.
    ///
    /// # Errors
    /// A key is none, or the settings would let nothing in.
    pub fn new(settings: TrustSettings) -> Result<Self, TrustSettingsError> {
        let mut keys: BTreeMap<String, (String, PublicKey)> = BTreeMap::new();
        for (name, text) in settings.keys {
            let key: PublicKey = match text.parse() {
                Ok(key) => key,
                Err(error) => return Err(TrustSettingsError::Key { name, error }),
            };
            if let Some((first, _)) = keys.get(key.id()) {
                return Err(TrustSettingsError::SameKey { first: first.clone(), second: name });
            }
            keys.insert(key.id().to_owned(), (name, key));
        }
        if settings.require_signatures && keys.is_empty() {
            return Err(TrustSettingsError::NoKeys);
        }
        Ok(Self { require: settings.require_signatures, keys, path: settings.revocations, revoked: RwLock::default() })
    }

    /// Whether a component without a signature is refused.
    #[must_use]
    pub fn requires_signatures(&self) -> bool {
        self.require
    }

    /// The trusted keys by the names the operator gave them.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        self.keys.values().map(|(name, key)| (name.as_str(), key))
    }

    /// What the operator should fix: the revocation list, where it cannot be read now.
    #[must_use]
    pub fn problem(&self) -> Option<RevocationError> {
        self.revoked().broken.clone()
    }

    /// Asked before anything of a component is looked at. `digest` is `sha256:…` of its bytes, `signature` the text of
    /// its `.sig` file.
    ///
    /// A signature that is there must be good even where none is required, or a bad one would pass by being unneeded;
    /// only one by a key that is not known here then counts as none, since it says nothing to anybody here.
    ///
    /// # Errors
    /// Why the component must not be used.
    pub fn admit(&self, digest: &str, signature: Option<&str>, now: Timestamp) -> Result<Admitted, TrustError> {
        let revoked = self.revoked();
        if let Some(reason) = revoked.list.of_digest(digest) {
            return Err(TrustError::DigestRevoked { digest: digest.to_owned(), reason: reason.to_owned() });
        }
        if let Some(error) = &revoked.broken {
            return Err(TrustError::RevocationsUnknown(error.to_string()));
        }
        if let (Some(path), false) = (&self.path, revoked.read) {
            let path = path.display();
            return Err(TrustError::RevocationsUnknown(format!("the revocation list {path} was not read yet")));
        }
        let Some(text) = signature else {
            return if self.require { Err(TrustError::Missing) } else { Ok(Admitted { signed: None }) };
        };
        let signature = Signature::parse(text).map_err(TrustError::Malformed)?;
        if let Some(reason) = revoked.list.of_key(signature.key()) {
            return Err(TrustError::KeyRevoked { key: signature.key().to_owned(), reason: reason.to_owned() });
        }
        let claim = signature.claim();
        if claim.digest != digest {
            return Err(TrustError::WrongBytes { signed: claim.digest.clone(), actual: digest.to_owned() });
        }
        let Some((name, key)) = self.keys.get(signature.key()) else {
            return if self.require {
                Err(TrustError::UntrustedKey { key: signature.key().to_owned() })
            } else {
                Ok(Admitted { signed: None })
            };
        };
        if !signature.is_by(key) {
            return Err(TrustError::Forged { name: name.clone() });
        }
        if claim.expires <= now {
            return Err(TrustError::Expired { name: name.clone(), at: claim.expires });
        }
        let signer = Signer { name: name.clone(), key: key.id().to_owned(), expires: claim.expires };
        Ok(Admitted { signed: Some((claim.clone(), signer)) })
    }

    /// Whether what is in use was revoked since: by its digest, or by the fingerprint of the key that signed it
    /// ([`Signer::key`]). Goes by the last list that could be read.
    #[must_use]
    pub fn is_revoked(&self, digest: &str, signer: Option<&str>) -> Option<TrustError> {
        let revoked = self.revoked();
        if let Some(reason) = revoked.list.of_digest(digest) {
            return Some(TrustError::DigestRevoked { digest: digest.to_owned(), reason: reason.to_owned() });
        }
        let key = signer?;
        let reason = revoked.list.of_key(key)?;
        Some(TrustError::KeyRevoked { key: key.to_owned(), reason: reason.to_owned() })
    }

    /// Reads the revocation list if its file changed, and says whether what is revoked changed: then ask
    /// [`Self::is_revoked`] again about all that is in use. Looks at the file's metadata where nothing changed, so it
    /// may be called every second; blocks for a file's reading.
    ///
    /// # Errors
    /// The file that is there now cannot be used. What was revoked before stays revoked, and nothing is admitted until
    /// it is fixed: breaking the list, by a slip or on purpose, must not bring back what is on it.
    pub fn refresh(&self) -> Result<bool, RevocationError> {
        let Some(path) = &self.path else { return Ok(false) };
        let before = self.revoked();
        // Nothing there is never the same as what was there.
        let seen = Stamp::now(path);
        if seen.is_some() && seen == before.stamp {
            return before.broken.clone().map_or(Ok(false), Err);
        }
        let (next, outcome) = match Revocations::read(path) {
            Ok((list, stamp)) => {
                let changed = list != before.list;
                (Revoked { list, stamp: Some(stamp), broken: None, read: true }, Ok(changed))
            }
            Err(error) => {
                let list = before.list.clone();
                (Revoked { list, stamp: seen, broken: Some(error.clone()), read: before.read }, Err(error))
            }
        };
        *self.revoked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        outcome
    }

    fn revoked(&self) -> Arc<Revoked> {
        // A poisoned lock still guards a whole pointer.
        Arc::clone(&self.revoked.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A component that may be looked at. What it says of itself is still to be confirmed.
#[derive(Debug, Clone)]
#[must_use = "a component must also be what its signature says it is: ask `confirm` once it was described"]
pub struct Admitted {
    signed: Option<(Claim, Signer)>,
}

impl Admitted {
    /// Asked once the component has described itself: is it what was signed? Gives who signed it; None where nobody
    /// known here did, and nobody needed to.
    ///
    /// # Errors
    /// It was signed as something else.
    pub fn confirm(&self, id: &str, version: &semver::Version, kind: Kind) -> Result<Option<Signer>, TrustError> {
        let Some((claim, signer)) = &self.signed else { return Ok(None) };
        let differs = |what, signed: &str, actual: &str| {
            Err(TrustError::SignedAs { what, signed: signed.to_owned(), actual: actual.to_owned() })
        };
        if claim.id != id {
            return differs("id", &claim.id, id);
        }
        // Build metadata included, which precedence leaves out: it was signed too.
        if claim.version != *version {
            return differs("version", &claim.version.to_string(), &version.to_string());
        }
        if claim.kind != kind.as_str() {
            return differs("kind", &claim.kind, kind.as_str());
        }
        Ok(Some(signer.clone()))
    }
}
