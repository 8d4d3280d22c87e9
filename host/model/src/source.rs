//! Where an application comes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Where an application comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The starter of the language's template.
    #[default]
    Starter,
    /// An archive that was uploaded, by the hash of what is in it.
    Archive(SourceDigest),
    /// A commit of a Git repository.
    Git(GitSource),
    /// An image that somebody else built, as its users write it: `ghcr.io/acme/app:1.2`.
    Image(String),
}

/// A commit of a Git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitSource {
    /// Where the repository is.
    pub url: String,
    /// The branch, tag or commit that was asked for; the repository's default branch where absent.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What proves that it may be read; needed to fetch it, and never stored.
    #[serde(skip)]
    pub token: Option<Secret>,
    /// What was fetched, once it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<GitCommit>,
}

/// What was fetched of a Git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitCommit {
    /// The hash of the commit.
    pub commit: String,
    /// The hash of what is in it.
    pub digest: SourceDigest,
}

impl Source {
    /// What is kept of it; none of a starter and of an image.
    pub fn digest(&self) -> Option<&SourceDigest> {
        match self {
            Self::Starter | Self::Image(_) => None,
            Self::Archive(digest) => Some(digest),
            Self::Git(git) => git.fetched.as_ref().map(|fetched| &fetched.digest),
        }
    }

    /// As policies are told it: `starter`, `archive`, `git`, `image`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Starter => "starter",
            Self::Archive(_) => "archive",
            Self::Git(_) => "git",
            Self::Image(_) => "image",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starter => f.write_str("starter"),
            Self::Archive(digest) => write!(f, "{digest}"),
            Self::Git(GitSource { url, reference, fetched, .. }) => {
                f.write_str(url)?;
                if let Some(reference) = reference {
                    write!(f, " {reference}")?;
                }
                fetched.iter().try_for_each(|fetched| write!(f, " at {}", fetched.commit))
            }
            Self::Image(reference) => f.write_str(reference),
        }
    }
}

/// The hash of what is in a source, written `sha256:` and 64 hexadecimal digits. Two archives of the same files have the
/// same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceDigest(String);

impl SourceDigest {
    const PREFIX: &str = "sha256:";

    /// Of a SHA-256.
    pub fn new(hash: [u8; 32]) -> Self {
        Self(data_encoding::HEXLOWER.encode(&hash))
    }

    /// Its digits, without what they are of: a name for a file.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The inverse of [`SourceDigest::hex`].
    pub fn from_hex(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (text.len() == 64 && is_hex).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for SourceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

/// A text that is no digest of a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the digest of a source; it is `sha256:` and 64 hexadecimal digits in lower case, as an upload answers it"
)]
pub struct NotADigest(String);

impl FromStr for SourceDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        text.strip_prefix(Self::PREFIX).and_then(Self::from_hex).ok_or_else(|| NotADigest(text.to_owned()))
    }
}

impl TryFrom<String> for SourceDigest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Self, NotADigest> {
        text.parse()
    }
}

impl From<SourceDigest> for String {
    fn from(digest: SourceDigest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = SourceDigest::new([0xab; 32]);
        assert_eq!(digest.to_string().parse::<SourceDigest>().unwrap(), digest);
        assert_eq!(SourceDigest::from_hex(digest.hex()).unwrap(), digest);
        for bad in ["", "sha256:", &"a".repeat(64), &format!("sha256:{}", "A".repeat(64)), "sha256:../../etc/passwd"] {
            assert!(bad.parse::<SourceDigest>().is_err(), "{bad:?}");
        }
        let json = serde_json::to_string(&Source::Archive(digest.clone())).unwrap();
        assert_eq!(json, format!(r#"{{"archive":"{digest}"}}"#));
        assert_eq!(serde_json::from_str::<Source>(&json).unwrap(), Source::Archive(digest));
        assert_eq!(serde_json::to_string(&Source::Starter).unwrap(), r#""starter""#);
    }

    #[test]
    fn a_token_is_never_written() {
        let git = Source::Git(GitSource {
            url: "https://git.example/app".to_owned(),
            reference: None,
            token: Some(Secret::new("hidden")),
            fetched: None,
        });
        let json = serde_json::to_string(&git).unwrap();
        assert_eq!(json, r#"{"git":{"url":"https://git.example/app"}}"#);
        assert!(!format!("{git:?} {git}").contains("hidden"));
    }
}
