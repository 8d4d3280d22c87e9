//! Keys, as people keep them: one line of text each.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

const PUBLIC: &str = "ed25519:";
const SECRET: &str = "ed25519-secret:";
/// Separates fingerprints from every other use of SHA-256 over a key.
const ID_DOMAIN: &[u8] = b"convergence plugin key\0";
/// Bytes of a fingerprint that are kept: enough that nobody finds a second key for one.
const ID_BYTES: usize = 16;

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is a private one where a public one belongs.
    #[error(
        "it is a private key; put the public line here, which `convergence plugin key public` prints, and keep the private one to yourself"
    )]
    Secret,
    /// It is a public one where a private one belongs.
    #[error("it is a public key; signing takes the private one, which `convergence plugin key generate` made")]
    Public,
    /// It does not look like one.
    #[error("it is not a key: a {expected} key is one line, `{prefix}` and 44 characters of base64")]
    Form {
        /// `public` or `private`.
        expected: &'static str,
        /// How such a line begins.
        prefix: &'static str,
    },
    /// It looks like one, and no signature under it would mean anything.
    #[error("it is not a point that Ed25519 can trust; make another key")]
    Weak,
}

/// What signatures are checked with: `ed25519:` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    /// The fingerprint that names it in signatures and revocation lists: 32 hexadecimal digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether this key signed these bytes. Strict: no second signature of the same bytes, no weak key, is taken.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn new(key: VerifyingKey) -> Self {
        let digest = Sha256::new().chain_update(ID_DOMAIN).chain_update(key.as_bytes()).finalize();
        let id = digest.iter().copied().take(ID_BYTES).collect::<Vec<u8>>();
        Self { key, id: HEXLOWER.encode(&id) }
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with(SECRET) {
            return Err(KeyError::Secret);
        }
        let form = KeyError::Form { expected: "public", prefix: PUBLIC };
        let encoded = text.strip_prefix(PUBLIC).ok_or_else(|| form.clone())?;
        let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| form.clone())?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| form)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self::new(key))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", BASE64.encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What signatures are made with: `ed25519-secret:` and base64. Wiped from memory when it goes, and never shown.
pub struct SecretKey {
    key: SigningKey,
}

impl SecretKey {
    /// A key from 32 random bytes, which the caller draws; they are wiped.
    #[must_use]
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        seed.zeroize();
        Self { key }
    }

    /// Reads the line that [`Self::to_line`] made.
    ///
    /// # Errors
    /// It is not such a line.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with(PUBLIC) {
            return Err(KeyError::Public);
        }
        let form = || KeyError::Form { expected: "private", prefix: SECRET };
        let encoded = text.strip_prefix(SECRET).ok_or_else(form)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded.as_bytes()).map_err(|_| form())?);
        let seed: [u8; 32] = bytes.as_slice().try_into().map_err(|_| form())?;
        Ok(Self::from_seed(seed))
    }

    /// The line to keep in a file that nobody else can read.
    #[must_use]
    pub fn to_line(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(BASE64.encode(self.key.as_bytes()));
        Zeroizing::new([SECRET, encoded.as_str()].concat())
    }

    /// What others check its signatures with.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::new(self.key.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public()).finish_non_exhaustive()
    }
}
