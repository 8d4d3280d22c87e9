//! `oci://host:port/namespace/name:1.2.3`: where a component is.

use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "oci://";
const MAX_REPOSITORY_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// Why a text names no component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` names no component in a registry: {reason}; write for example `oci://registry.example/team/ruby:1.2.0`", .text.escape_debug())]
pub struct ReferenceError {
    text: String,
    reason: &'static str,
}

/// Where a component is: a registry, a repository, and a tag or a digest or both. The digest then counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: String,
    port: Option<u16>,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// `host` or `host:port`, as the operator lists registries.
    #[must_use]
    pub fn registry(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// The host: a name, or an address; one of version 6 is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where one is written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// `namespace/name`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, as a rule a version.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// `sha256:…` of the manifest.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// By what the registry is asked for the manifest.
    pub(super) fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or_default()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|reason| ReferenceError { text: text.chars().take(300).collect(), reason })
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    let rest = text.strip_prefix(SCHEME).ok_or("it does not begin with `oci://`")?;
    let (registry, rest) = rest.split_once('/').ok_or("after the registry comes `/` and a repository")?;
    let (host, port) = host_and_port(registry)?;
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (rest, None),
    };
    let (repository, tag) = match rest.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    if repository.len() > MAX_REPOSITORY_BYTES || !repository.split('/').all(is_path_component) {
        return Err("a repository is lower-case letters and digits, with `.`, `_`, `-` and `/` between them");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag is at most 128 letters, digits, `.`, `_` and `-`");
    }
    if digest.is_some_and(|digest| crate::trust::digest_bytes(digest).is_none()) {
        return Err("a digest is `sha256:` and 64 hexadecimal digits in lower case");
    }
    if tag.is_none() && digest.is_none() {
        // What `latest` is changes under one's hands.
        return Err("it must say which version, with `:` and a tag or `@` and a digest");
    }
    let owned = |part: Option<&str>| part.map(str::to_owned);
    Ok(Reference { host, port, repository: repository.to_owned(), tag: owned(tag), digest: owned(digest) })
}

/// In lower case, so that it is found among those the operator listed.
fn host_and_port(registry: &str) -> Result<(String, Option<u16>), &'static str> {
    const WRONG: &str = "a registry is a host name or an address, and a port if it is not 443";
    let in_brackets = registry.starts_with('[');
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !in_brackets || host.ends_with(']') => {
            (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0).ok_or(WRONG)?))
        }
        _ => (registry, None),
    };
    let good = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            host.len() <= 253
                && host.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                })
        }
    };
    if good { Ok((host.to_ascii_lowercase(), port)) } else { Err(WRONG) }
}

fn is_path_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part.chars().all(|c| alphanumeric(c) || matches!(c, '.' | '_' | '-'))
        && !part.contains("..")
}

fn is_tag(tag: &str) -> bool {
    (1..=MAX_TAG_BYTES).contains(&tag.len())
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !tag.starts_with(['.', '-'])
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry(), self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_survive_their_text() {
        for text in [
            "oci://registry.example/team/ruby:1.2.0",
            "oci://localhost:5000/ruby:1.2.0-rc.1_build",
            "oci://127.0.0.1:5000/a/b/c__d/e-f:v1",
            "oci://[::1]:5000/team/ruby:1",
            "oci://[2001:db8::1]/team/ruby:1",
            &format!("oci://registry.example/team/ruby@{DIGEST}"),
            &format!("oci://registry.example/team/ruby:1.2.0@{DIGEST}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        let reference: Reference = "oci://Registry.Example:5000/team/ruby:1".parse().unwrap();
        assert_eq!((reference.registry().as_str(), reference.host()), ("registry.example:5000", "registry.example"));
    }

    #[test]
    fn what_names_no_component_is_refused() {
        for text in [
            "",
            "registry.example/team/ruby:1",
            "https://registry.example/team/ruby:1",
            "oci://registry.example",
            "oci://registry.example/",
            "oci://registry.example/team/ruby",
            "oci://registry.example/team/ruby:",
            "oci://registry.example/team/ruby:1+build",
            "oci://registry.example/Team/ruby:1",
            "oci://registry.example/../ruby:1",
            "oci://registry.example//ruby:1",
            "oci://registry.example/team/ruby:1?x=y",
            "oci://registry.example/team/ruby@sha256:0123",
            "oci://user:secret@registry.example/team/ruby:1",
            "oci://registry.example:0/team/ruby:1",
            "oci://registry.example:x/team/ruby:1",
            "oci://-registry/team/ruby:1",
            "oci://[::1/team/ruby:1",
            "oci:///team/ruby:1",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
