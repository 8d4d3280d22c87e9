//! Which base images a plan may start from, and what they are called here.
//!
//! A template names an image as its users know it (`node:22-bookworm-slim`). The operator's mirror map says what
//! that is on this site, the allowlist whether it may be used at all.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

/// Bytes in an image reference.
pub const REFERENCE_MAX: usize = 255;

const DEFAULT_DOMAIN: &str = "docker.io";
const OFFICIAL: &str = "library/";

/// An image reference, normalised: `node` is `docker.io/library/node:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Reads `[registry/]path[:tag][@sha256:…]` as Docker does.
    ///
    /// # Errors
    /// Which part is not what it should be, human-readable.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > REFERENCE_MAX {
            return Err(format!("an image reference has 1 to {REFERENCE_MAX} bytes"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if let Some(digest) = digest {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return Err("the digest after '@' must be sha256: and 64 hexadecimal digits".into());
            }
        }
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest.rfind(':').filter(|colon| *colon >= name_start) {
            Some(colon) => (rest.get(..colon).unwrap_or_default(), rest.get(colon + 1..)),
            None => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err("the tag after ':' must be 1 to 128 of letters, digits, '_', '.' and '-'".into());
        }
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
            _ => (DEFAULT_DOMAIN, name),
        };
        if !is_domain(domain) {
            return Err("the registry before the first '/' must be a host name, with ':port' if any".into());
        }
        if !path.split('/').all(is_component) {
            return Err("the name must be lower-case letters and digits, joined by '.', '_', '-' and '/'".into());
        }
        let path =
            if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("{OFFICIAL}{path}") } else { path.to_owned() };
        let tag = match (tag, digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Ok(Self { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }

    /// Whether it is one of Docker's official images: no registry, no namespace.
    pub fn is_official(&self) -> bool {
        self.domain == DEFAULT_DOMAIN && self.path.strip_prefix(OFFICIAL).is_some_and(|name| !name.contains('/'))
    }

    /// The repository as people write it: `node`, `acme/app`, `ghcr.io/acme/app`.
    pub fn repository(&self) -> String {
        match (self.domain.as_str(), self.path.strip_prefix(OFFICIAL)) {
            (DEFAULT_DOMAIN, Some(name)) if !name.contains('/') => name.to_owned(),
            (DEFAULT_DOMAIN, _) => self.path.clone(),
            (domain, _) => format!("{domain}/{}", self.path),
        }
    }
}

/// As people write it, always with a tag or a digest.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn is_tag(tag: &str) -> bool {
    let head = tag.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    head && tag.len() <= 128 && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = domain.split_once(':').unwrap_or((domain, "0"));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit())
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9'));
    let bytes = component.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        && !["..", "___", "._", "_.", ".-", "-.", "_-", "-_"].iter().any(|bad| component.contains(bad))
}

/// One line of the allowlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `official`: Docker's official images, those without a namespace.
    Official,
    /// A repository (`ghcr.io/acme/app`, any tag of it), or a reference, where `*` stands for any characters.
    Text(String),
}

impl Pattern {
    /// Reads one line of the allowlist.
    pub fn parse(text: &str) -> Self {
        if text == "official" { Self::Official } else { Self::Text(text.to_owned()) }
    }

    /// Whether the pattern covers an image.
    pub fn covers(&self, image: &Reference) -> bool {
        match self {
            Self::Official => image.is_official(),
            Self::Text(pattern) => {
                matches(pattern.as_bytes(), image.to_string().as_bytes())
                    || matches(pattern.as_bytes(), image.repository().as_bytes())
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Official => f.write_str("official"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// `*` stands for any characters, everything else for itself. Linear but for the number of stars.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if Some(byte) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// What a site allows and what it calls things.
///
/// A key of the map is an exact reference (`node:22-bookworm-slim`) or, ending in `*`, a prefix (`node:*`, `*`).
/// The exact key wins over every prefix, the longest prefix over shorter ones. A prefix's value that ends in `*`
/// takes over what the prefix left (`"*" = "mirror.example/*"`); any other value stands for all of them
/// (`"node:*" = "convergence-base/node"`). What the map names is allowed, except by the bare `*`: mirroring
/// everything must not allow everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePolicy {
    /// `allow-images` in `[build]` of the configuration.
    pub allow: Vec<Pattern>,
    /// The table `[images]` of the configuration: an image as templates name it → as this site has it.
    pub map: BTreeMap<String, String>,
}

impl Default for ImagePolicy {
    fn default() -> Self {
        Self { allow: vec![Pattern::Official], map: BTreeMap::new() }
    }
}

/// An image that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// As the template named it.
    pub asked: String,
    /// As this site has it, with a tag or a digest.
    pub reference: String,
}

/// Why an image may not be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageRefused {
    /// Not a reference at all.
    #[error("{asked:?} is not an image reference: {why}")]
    Malformed {
        /// What was asked for, shortened.
        asked: String,
        /// Which part is wrong.
        why: String,
    },
    /// Not on the allowlist.
    #[error(
        "the image {asked} is not allowed here; allowed are: {allowed}. The operator can add it to `allow-images` in `[build]`, or name it in the table `[images]`"
    )]
    NotAllowed {
        /// What was asked for.
        asked: String,
        /// What is allowed.
        allowed: String,
    },
    /// The operator's map leads to something that is not a reference.
    #[error(
        "the table `[images]` of the configuration makes {asked} into {mapped:?}, which is not an image reference: {why}"
    )]
    BadMapping {
        /// What was asked for.
        asked: String,
        /// What the map made of it.
        mapped: String,
        /// Which part is wrong.
        why: String,
    },
}

impl ImageRefused {
    /// A stable slug for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "bad-image",
            Self::NotAllowed { .. } => "image-not-allowed",
            Self::BadMapping { .. } => "image-map",
        }
    }
}

impl ImagePolicy {
    /// What an image is called here.
    ///
    /// # Errors
    /// That it is malformed or not allowed, with what is allowed and which key of the configuration says so.
    pub fn resolve(&self, asked: &str) -> Result<Resolved, ImageRefused> {
        let image = Reference::parse(asked)
            .map_err(|why| ImageRefused::Malformed { asked: asked.chars().take(80).collect(), why })?;
        let name = image.to_string();
        let (mapped, named) = self.mapped(&name);
        if !named && !self.allow.iter().any(|pattern| pattern.covers(&image)) {
            return Err(ImageRefused::NotAllowed { asked: name, allowed: self.allowed() });
        }
        let reference = match mapped {
            None => name,
            Some(mapped) => match Reference::parse(&mapped) {
                Ok(reference) => reference.to_string(),
                Err(why) => return Err(ImageRefused::BadMapping { asked: name, mapped, why }),
            },
        };
        Ok(Resolved { asked: asked.to_owned(), reference })
    }

    /// What the map makes of a name, and whether being in it allows the image.
    fn mapped(&self, name: &str) -> (Option<String>, bool) {
        let exact = self.map.iter().find(|(key, _)| {
            !key.ends_with('*') && (*key == name || Reference::parse(key).is_ok_and(|key| key.to_string() == name))
        });
        if let Some((_, value)) = exact {
            return (Some(value.clone()), true);
        }
        let prefixes = self.map.iter().filter_map(|(key, value)| {
            let prefix = key.strip_suffix('*')?;
            Some((prefix, name.strip_prefix(prefix)?, value))
        });
        match prefixes.max_by_key(|(prefix, _, _)| prefix.len()) {
            None => (None, false),
            Some((prefix, rest, value)) => {
                let mapped = match value.strip_suffix('*') {
                    Some(head) => format!("{head}{rest}"),
                    None => value.clone(),
                };
                (Some(mapped), !prefix.is_empty())
            }
        }
    }

    fn allowed(&self) -> String {
        let patterns = self.allow.iter().map(|pattern| match pattern {
            Pattern::Official => "Docker's official images (without a namespace)".to_owned(),
            Pattern::Text(text) => text.clone(),
        });
        let all: Vec<String> = patterns.chain(self.map.keys().filter(|key| *key != "*").cloned()).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }
}

#[cfg(test)]
mod tests;
