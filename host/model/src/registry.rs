//! Registries of images: what their hosts are called, which one an image comes from, and who may pull from it.

use std::fmt;

use crate::Secret;

/// Characters of a name of a host, as DNS has it.
const NAME_MAX: usize = 253;
/// Characters of one part of it.
const LABEL_MAX: usize = 63;
/// Docker Hub, in the names of images.
const HUB: &str = "docker.io";
/// Docker Hub, in the files of older clients.
const OLD_HUB: &str = "index.docker.io";

/// The host of a registry as images name it: `name` or `name:port`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryHost(String);

impl RegistryHost {
    /// Reads the host that somebody names.
    ///
    /// # Errors
    /// What is wrong with it, human-readable.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown: String = text.chars().take(80).collect();
        let wrong = |why: &str| {
            Err(format!(
                "{shown:?} is not the host of a registry: {why}; for example `registry.example:5000`, or `docker.io`"
            ))
        };
        if text.contains("://") || text.contains('/') {
            return wrong("it must have neither a scheme nor a path");
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return wrong("it must be in lower case");
        }
        if text == OLD_HUB {
            return wrong("images name Docker Hub `docker.io`");
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        };
        let is_label = |label: &str| {
            let has_ends = !label.starts_with('-') && !label.ends_with('-');
            let is_of = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
            (1..=LABEL_MAX).contains(&label.len()) && has_ends && is_of
        };
        if text.len() > NAME_MAX || !name.split('.').all(is_label) {
            return wrong("its name must have parts of letters, digits and `-`, with dots between them");
        }
        if let Some(port) = port {
            let is_number = !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number || port.parse::<u16>().is_err() {
                return wrong("its port must be a number from 1 to 65535");
            }
        }
        if !is_host(text) {
            return wrong("it must have a dot or a port, or be `localhost`: otherwise images cannot name it");
        }
        Ok(Self(text.to_owned()))
    }

    /// As images name it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is Docker Hub.
    pub fn is_hub(&self) -> bool {
        self.0 == HUB
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the first part of an image's name is a host, as Docker decides it.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':'])
}

/// Where an image is kept: a registry and a path in it, without tag and digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRepository {
    /// The registry's host.
    pub host: RegistryHost,
    /// The path in it, for example `library/node`.
    pub path: String,
}

impl ImageRepository {
    /// Where the image of a reference is kept; none where its host is none that somebody can log in to.
    pub fn of(reference: &str) -> Option<Self> {
        let name = reference.split('@').next().unwrap_or(reference);
        let name = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name,
        };
        let (host, path) = match name.split_once('/') {
            // Docker reads a first part with capitals as a host too; hosts are the same in either case.
            Some((first, path)) if is_host(first) => (first.to_ascii_lowercase(), path),
            _ => (HUB.to_owned(), name),
        };
        let host = if host == OLD_HUB { HUB.to_owned() } else { host };
        let host = RegistryHost::parse(&host).ok()?;
        let path = if host.is_hub() && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        Some(Self { host, path })
    }

    /// Whether it is one of Docker's official images, which are nobody's secret.
    pub fn is_official(&self) -> bool {
        self.host.is_hub() && self.path.strip_prefix("library/").is_some_and(|name| !name.contains('/'))
    }
}

impl fmt::Display for ImageRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// Who pulls from a registry. For this host alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCredentials {
    /// The registry that they are for.
    pub host: RegistryHost,
    /// The user's name there.
    pub user: String,
    /// The password, or a token.
    pub password: Secret,
}

impl RegistryCredentials {
    /// Characters of a user's name.
    pub const USER_MAX: usize = 255;
    /// Characters of a password: tokens and keys of cloud registries are long.
    pub const PASSWORD_MAX: usize = 16_384;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_host_is_a_name_with_an_optional_port() {
        for host in ["docker.io", "registry.example", "registry.example:5000", "localhost", "127.0.0.1:5000", "a:1"] {
            assert_eq!(RegistryHost::parse(host).unwrap().as_str(), host);
        }
        let long = format!("{}.example", "a".repeat(64));
        for (wrong, why) in [
            ("", "parts of letters"),
            ("https://registry.example", "neither a scheme nor a path"),
            ("registry.example/team", "neither a scheme nor a path"),
            ("Registry.example", "lower case"),
            ("registry", "a dot or a port"),
            ("index.docker.io", "`docker.io`"),
            ("registry.example:", "1 to 65535"),
            ("registry.example:0", "1 to 65535"),
            ("registry.example:070", "1 to 65535"),
            ("registry.example:+80", "1 to 65535"),
            ("registry.example:65536", "1 to 65535"),
            ("user@registry.example", "parts of letters"),
            ("registry..example", "parts of letters"),
            ("-a.example", "parts of letters"),
            ("re gistry.example", "parts of letters"),
            ("registry.example\n", "parts of letters"),
            ("[::1]:5000", "parts of letters"),
            (long.as_str(), "parts of letters"),
        ] {
            let told = RegistryHost::parse(wrong).unwrap_err();
            assert!(told.contains(why), "{wrong:?}: {told}");
        }
    }

    #[test]
    fn an_image_names_its_registry_as_docker_reads_it() {
        for (reference, repository) in [
            ("node", "docker.io/library/node"),
            ("node:22", "docker.io/library/node"),
            ("docker.io/node@sha256:ab", "docker.io/library/node"),
            ("index.docker.io/acme/app:1", "docker.io/acme/app"),
            ("acme/app", "docker.io/acme/app"),
            ("registry.example/app:1", "registry.example/app"),
            ("registry.example:5000/team/app:1@sha256:ab", "registry.example:5000/team/app"),
            ("Registry.Example/app", "registry.example/app"),
            ("localhost/app:1", "localhost/app"),
            ("library/team/app", "docker.io/library/team/app"),
        ] {
            let found = ImageRepository::of(reference).unwrap();
            assert_eq!(found.to_string(), repository, "{reference}");
            assert_eq!(found.is_official(), repository == "docker.io/library/node", "{reference}");
        }
        assert_eq!(ImageRepository::of("[::1]:5000/app"), None);
    }
}
