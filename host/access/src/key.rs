//! Keys of tenants: `sk_tenant_…`.
//!
//! A key is derived, not stored: HKDF-SHA-256 (RFC 5869) of the installation's master key, the tenant's
//! internal id and the key's version. So it can be put into a container again after a crash, while the
//! database keeps only what verifies it (HMAC-SHA-256, RFC 2104, under a pepper derived from the same
//! master key).
//!
//! ```text
//! sk_tenant_ <lookup: 13 characters> <secret: 52> <checksum: 5>       lower-case base32, no padding
//! ```
//! The lookup finds the row; 256 bits of secret prove it; the checksum lets scanners and clients tell a
//! mistyped key from a wrong one without asking the server.

use convergence_model::{Secret, TenantId};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "sk_tenant_";
const LOOKUP_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
const LOOKUP_CHARS: usize = 13;
const SECRET_CHARS: usize = 52;
const CHECKSUM_CHARS: usize = 5;

/// The installation's master key, and what is derived from it.
pub struct KeyRing {
    derive: Hkdf<Sha256>,
    pepper: [u8; 64],
}

/// A key, shown once.
#[derive(Debug, Clone)]
pub struct TenantKey {
    /// What the tenant presents.
    pub secret: Secret,
    /// What the database keeps.
    pub verifier: KeyVerifier,
}

/// What is kept of a key: enough to find and verify it, not enough to present it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVerifier {
    /// Which version of the tenant's key, from 1.
    pub version: u32,
    /// Finds the row.
    pub lookup: String,
    /// HMAC of the whole key.
    pub mac: Vec<u8>,
}

/// Why text is not a key at all. Says nothing about whether such a key exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a tenant key: it must be `sk_tenant_` and 70 letters and digits with a valid checksum")]
pub struct Malformed;

impl KeyRing {
    /// Derives everything from the master key: 32 random bytes that only this installation has.
    pub fn new(master: &[u8; 32]) -> Self {
        let derive = Hkdf::<Sha256>::new(None, master);
        let pepper = expand(&derive, &[b"convergence/pepper/v1"]);
        Self { derive, pepper }
    }

    /// A key for another purpose of the installation's own, for example authenticating cached native code.
    pub fn purpose(&self, name: &str) -> [u8; 32] {
        expand(&self.derive, &[b"convergence/purpose/v1/", name.as_bytes()])
    }

    /// The key of a tenant. The same id and version always give the same key.
    pub fn tenant_key(&self, tenant: TenantId, version: u32) -> TenantKey {
        let version_bytes = version.to_be_bytes();
        let bytes: [u8; LOOKUP_BYTES + SECRET_BYTES] =
            expand(&self.derive, &[b"convergence/tenant-key/v1/", tenant.0.as_bytes(), &version_bytes]);
        let (lookup, secret) = bytes.split_at(LOOKUP_BYTES);
        let lookup = base32(lookup);
        let body = format!("{lookup}{}", base32(secret));
        let text = format!("{PREFIX}{body}{}", checksum(&body));
        let mac = self.mac(&text).finalize().into_bytes().to_vec();
        TenantKey { secret: Secret::new(text), verifier: KeyVerifier { version, lookup, mac } }
    }

    /// The part of a presented key that finds its row.
    ///
    /// # Errors
    /// The text is not a key: wrong prefix, length, alphabet or checksum.
    pub fn lookup(presented: &str) -> Result<&str, Malformed> {
        let rest = presented.strip_prefix(PREFIX).ok_or(Malformed)?;
        let body = rest.get(..LOOKUP_CHARS + SECRET_CHARS).ok_or(Malformed)?;
        let sum = rest.get(LOOKUP_CHARS + SECRET_CHARS..).ok_or(Malformed)?;
        if sum.len() != CHECKSUM_CHARS || sum != checksum(body) {
            return Err(Malformed);
        }
        body.get(..LOOKUP_CHARS).ok_or(Malformed)
    }

    /// Whether a presented key is the one whose verifier was kept; in constant time.
    pub fn verify(&self, presented: &str, kept: &KeyVerifier) -> bool {
        let mac = self.mac(presented).finalize().into_bytes();
        mac.as_slice().ct_eq(kept.mac.as_slice()).into()
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.pepper.into());
        mac.update(text.as_bytes());
        mac
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing(…)")
    }
}

fn expand<const N: usize>(derive: &Hkdf<Sha256>, info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    // Fails only for more than 255 × 32 bytes of output; N is a constant of this file.
    let done = derive.expand_multi_info(info, &mut out);
    debug_assert!(done.is_ok());
    out
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest([PREFIX.as_bytes(), body.as_bytes()].concat());
    let mut text = base32(&digest);
    text.truncate(CHECKSUM_CHARS);
    text
}

fn base32(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        TenantId(Uuid::from_u128(n))
    }

    #[test]
    fn a_key_is_reproducible_distinct_and_verifiable() {
        let ring = KeyRing::new(&[7; 32]);
        let key = ring.tenant_key(tenant(1), 1);
        assert_eq!(key.secret, ring.tenant_key(tenant(1), 1).secret);
        assert_ne!(key.secret, ring.tenant_key(tenant(2), 1).secret);
        assert_ne!(key.secret, ring.tenant_key(tenant(1), 2).secret);
        assert_ne!(key.secret, KeyRing::new(&[8; 32]).tenant_key(tenant(1), 1).secret);

        let text = key.secret.expose();
        assert!(text.starts_with("sk_tenant_") && text.len() == 80, "{text}");
        assert_eq!(KeyRing::lookup(text), Ok(key.verifier.lookup.as_str()));
        assert!(ring.verify(text, &key.verifier));
        assert!(!ring.verify(ring.tenant_key(tenant(2), 1).secret.expose(), &key.verifier));
        assert!(!KeyRing::new(&[8; 32]).verify(text, &key.verifier), "another pepper");
        assert!(!format!("{:?}", key).contains(&text[30..]));
    }

    #[test]
    fn a_mistyped_key_is_told_apart_without_the_database() {
        let text = KeyRing::new(&[7; 32]).tenant_key(tenant(1), 1).secret.expose().to_owned();
        let typo = text.replacen(&text[20..21], if &text[20..21] == "a" { "b" } else { "a" }, 1);
        for bad in [typo.as_str(), &text[..79], &format!("{text}a"), "", "sk_tenant_", "sk_live_x", "sk_tenant_é"] {
            assert_eq!(KeyRing::lookup(bad), Err(Malformed), "{bad}");
        }
    }

    #[test]
    fn purposes_have_keys_of_their_own() {
        let ring = KeyRing::new(&[7; 32]);
        assert_ne!(ring.purpose("a"), ring.purpose("b"));
    }
}
