//! The `.sig` file: a small JSON document beside a component.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::claim::Claim;
use super::key::{PublicKey, SecretKey};

/// Bytes of the longest signature document.
pub const MAX_SIGNATURE_BYTES: usize = 4096;

const ALGORITHM: &str = "ed25519";

/// Why a text is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is longer than any signature.
    #[error("it is longer than {MAX_SIGNATURE_BYTES} bytes")]
    TooLong,
    /// It is not such a document.
    #[error("{0}")]
    Document(String),
    /// A field of it makes no sense.
    #[error("its `{field}` must be {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What would be right.
        expected: &'static str,
    },
}

/// A signature as it came: well formed, and not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    claim: Claim,
    key: String,
    signature: [u8; 64],
}

/// The document. Fields in the order people read them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    algorithm: String,
    key: String,
    digest: String,
    id: String,
    version: String,
    kind: String,
    expires: String,
    signature: String,
}

impl Signature {
    /// Signs a claim.
    ///
    /// # Errors
    /// A field of the claim has no form that could be signed.
    pub fn sign(claim: Claim, key: &SecretKey) -> Result<Self, SignatureError> {
        let message = claim.message().map_err(malformed)?;
        Ok(Self { signature: key.sign(&message), key: key.public().id().to_owned(), claim })
    }

    /// Reads a document, each field in its one spelling.
    ///
    /// # Errors
    /// It is not such a document.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        if text.len() > MAX_SIGNATURE_BYTES {
            return Err(SignatureError::TooLong);
        }
        // The text may be untrusted: what the parser says of it goes to the operator without control characters.
        let document: Document = serde_json::from_str(text)
            .map_err(|error| SignatureError::Document(error.to_string().escape_debug().to_string()))?;
        if document.algorithm != ALGORITHM {
            return Err(SignatureError::Field {
                field: "algorithm",
                expected: "`ed25519`, which is the only one there is",
            });
        }
        if HEXLOWER.decode(document.key.as_bytes()).map_or(0, |bytes| bytes.len()) != 16 {
            return Err(malformed("key"));
        }
        let version = semver::Version::parse(&document.version).map_err(|_| malformed("version"))?;
        let expires: Timestamp = document.expires.parse().map_err(|_| malformed("expires"))?;
        if expires.to_string() != document.expires {
            return Err(malformed("expires"));
        }
        let signature = BASE64.decode(document.signature.as_bytes()).map_err(|_| malformed("signature"))?;
        let signature: [u8; 64] = signature.try_into().map_err(|_| malformed("signature"))?;
        let claim = Claim { digest: document.digest, id: document.id, version, kind: document.kind, expires };
        claim.message().map_err(malformed)?;
        Ok(Self { claim, key: document.key, signature })
    }

    /// What it says. To be believed only after [`Self::is_by`].
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The fingerprint of the key it names.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether this key made it, over this claim.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey) -> bool {
        self.claim.message().is_ok_and(|message| key.verifies(&message, &self.signature))
    }
}

/// The document, with a line break at its end.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let document = Document {
            algorithm: ALGORITHM.to_owned(),
            key: self.key.clone(),
            digest: self.claim.digest.clone(),
            id: self.claim.id.clone(),
            version: self.claim.version.to_string(),
            kind: self.claim.kind.clone(),
            expires: self.claim.expires.to_string(),
            signature: BASE64.encode(&self.signature),
        };
        let text = serde_json::to_string_pretty(&document).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}

/// Where the signature of a component is: `ruby.wasm.sig` beside `ruby.wasm`.
#[must_use]
pub fn signature_path(component: &Path) -> PathBuf {
    let mut path: OsString = component.as_os_str().to_owned();
    path.push(".sig");
    PathBuf::from(path)
}

/// The text of the signature beside a component; None where there is none. Reads little more than a signature may be
/// long, and what is not UTF-8 is given as something that is no signature.
///
/// # Errors
/// A file is there and cannot be read.
pub fn read_signature(component: &Path) -> io::Result<Option<String>> {
    let file = match File::open(signature_path(component)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SIGNATURE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn malformed(field: &'static str) -> SignatureError {
    let expected = match field {
        "key" => "the fingerprint of a key: 32 hexadecimal digits",
        "digest" => "`sha256:` and 64 hexadecimal digits in lower case",
        "version" => "a semantic version",
        "expires" => "a time in whole seconds such as `2027-11-22T00:00:00Z`",
        "signature" => "64 bytes of base64",
        _ => "letters, digits, `.` and `-`, and not long",
    };
    SignatureError::Field { field, expected }
}
