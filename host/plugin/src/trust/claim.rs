//! What a signature says, and the bytes it is made over.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Begins every signed message, so that a signature of ours can never be read as one of something else, nor the
/// other way round. Another layout of what follows gets another number.
const DOMAIN: &[u8] = b"convergence plugin signature 1\0";

/// Bytes of the longest id: the longest name that DNS allows.
const MAX_ID_BYTES: usize = 253;
const MAX_VERSION_BYTES: usize = 128;
const MAX_KIND_BYTES: usize = 32;

/// What a signature says of a component: these bytes are this plugin, until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// `sha256:` and 64 hexadecimal digits, of the component's bytes.
    pub digest: String,
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: semver::Version,
    /// The word of the contract: `template`, `policy`, `billing`.
    pub kind: String,
    /// From when on it says nothing any more, in whole seconds.
    pub expires: Timestamp,
}

impl Claim {
    /// The bytes that are signed: the domain, then each field after its length in four bytes, big end first. The
    /// digest is its 32 bytes, the expiry its seconds since 1970 in eight bytes, the rest is UTF-8.
    ///
    /// # Errors
    /// Names the field that has no such form.
    pub(super) fn message(&self) -> Result<Vec<u8>, &'static str> {
        let version = self.version.to_string();
        let fields: [&[u8]; 5] = [
            &digest_bytes(&self.digest).ok_or("digest")?,
            text(&self.id, MAX_ID_BYTES, b".-").ok_or("id")?,
            text(&version, MAX_VERSION_BYTES, b".-+").ok_or("version")?,
            text(&self.kind, MAX_KIND_BYTES, b"-").ok_or("kind")?,
            &seconds(self.expires).ok_or("expires")?,
        ];
        let mut message = DOMAIN.to_vec();
        for field in fields {
            // Every field is bounded above by far less.
            let length = u32::try_from(field.len()).map_err(|_| "id")?;
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(field);
        }
        Ok(message)
    }
}

/// `sha256:` and 64 hexadecimal digits, of a component's bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// The 32 bytes of `sha256:…`, in the one spelling there is.
pub(crate) fn digest_bytes(digest: &str) -> Option<[u8; 32]> {
    let bytes = HEXLOWER.decode(digest.strip_prefix("sha256:")?.as_bytes()).ok()?;
    bytes.try_into().ok()
}

/// Times with a fraction would have two spellings.
fn seconds(time: Timestamp) -> Option<[u8; 8]> {
    (time.subsec_nanosecond() == 0).then(|| time.as_second().to_be_bytes())
}

/// Letters, digits and some marks: what may stand in a message to the operator as it is.
fn text<'a>(value: &'a str, limit: usize, marks: &[u8]) -> Option<&'a [u8]> {
    let good = (1..=limit).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte));
    good.then_some(value.as_bytes())
}
