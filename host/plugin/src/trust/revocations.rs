//! What was revoked: keys and components, each with a reason.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::claim::digest_bytes;
use super::key::PublicKey;

/// Bytes of the longest list: tens of thousands of entries.
const MAX_BYTES: u64 = 4 << 20;

/// Why a revocation list is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// The file cannot be read.
    #[error("the revocation list {} cannot be read: {reason}; where nothing is revoked it is an empty file", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is not such a list.
    #[error("the revocation list {} is wrong: {reason}", .path.display())]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
}

/// A revocation list.
///
/// ```toml
/// [keys]
/// "0f1e2d3c4b5a69788796a5b4c3d2e1f0" = "the laptop it was on was stolen"
///
/// [digests]
/// "sha256:…" = "plans images that run as root"
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Reason by fingerprint.
    keys: BTreeMap<String, String>,
    /// Reason by digest.
    digests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    keys: BTreeMap<String, String>,
    #[serde(default)]
    digests: BTreeMap<String, String>,
}

impl Revocations {
    /// Reads a list. A key may be named by its fingerprint or by its public line.
    ///
    /// # Errors
    /// What is wrong with it: an entry that would revoke nothing is as bad as one that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut list = Self::default();
        for (key, reason) in document.keys {
            let id = match key.parse::<PublicKey>() {
                Ok(key) => key.id().to_owned(),
                Err(_) if key.len() == 32 && key.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) => key,
                Err(_) => {
                    return Err(format!(
                        "`{}` in [keys] is neither the fingerprint of a key, 32 hexadecimal digits in lower case, nor a public key",
                        key.escape_debug()
                    ));
                }
            };
            list.keys.insert(id, one_line(&reason));
        }
        for (digest, reason) in document.digests {
            if digest_bytes(&digest).is_none() {
                return Err(format!(
                    "`{}` in [digests] is not `sha256:` and 64 hexadecimal digits in lower case",
                    digest.escape_debug()
                ));
            }
            list.digests.insert(digest, one_line(&reason));
        }
        Ok(list)
    }

    /// Why a key was revoked, if it was.
    #[must_use]
    pub fn of_key(&self, id: &str) -> Option<&str> {
        self.keys.get(id).map(String::as_str)
    }

    /// Why a component was revoked, if it was.
    #[must_use]
    pub fn of_digest(&self, digest: &str) -> Option<&str> {
        self.digests.get(digest).map(String::as_str)
    }

    /// Reads a file, none but a regular one, and what it was when it was read.
    pub(super) fn read(path: &Path) -> Result<(Self, Stamp), RevocationError> {
        let unreadable = |reason: String| RevocationError::Unreadable { path: path.to_owned(), reason };
        let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| unreadable(error.to_string()))?;
        if !metadata.is_file() {
            return Err(unreadable("it is not a file".to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(unreadable(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let list = Self::parse(&text).map_err(|reason| RevocationError::Wrong { path: path.to_owned(), reason })?;
        Ok((list, Stamp::of(&metadata)))
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// What a file is now; None where there is nothing to look at.
    pub(super) fn now(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }

    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A reason goes into logs and answers.
fn one_line(reason: &str) -> String {
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    let line = line.trim();
    if line.is_empty() { "no reason was given".to_owned() } else { line.to_owned() }
}
