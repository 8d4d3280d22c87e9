//! What is asked for: a URL and a ref that can mean nothing else to git, to curl under it, and to us.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::GitError;

/// Bytes of a URL.
const URL_MAX: usize = 2048;
/// Bytes of a ref.
const REFERENCE_MAX: usize = 255;

/// A server of repositories: `github.com`, `git.example.com:8443`, or `http://git.example.com:3000` for one without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHost {
    plain: bool,
    /// In lower case, without brackets.
    name: String,
    ip: Option<IpAddr>,
    port: u16,
}

impl GitHost {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    fn read(text: &str, plain: bool) -> Result<Self, &'static str> {
        let (name, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(None) => return Err("an IPv6 address in it has no closing bracket"),
            Some(Some((inside, after))) => {
                inside.parse::<Ipv6Addr>().map_err(|_| "what is in brackets is not an IPv6 address")?;
                match after.strip_prefix(':') {
                    None if after.is_empty() => (inside, None),
                    None => return Err("something that is not a port follows its IPv6 address"),
                    port => (inside, port),
                }
            }
            None => text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port))),
        };
        let usual = if plain { 80 } else { 443 };
        let number = |port: &str| {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            port.parse().ok().filter(|port| digits && *port != 0).ok_or("its port is not a number of 1 to 65535")
        };
        let port = port.map_or(Ok(usual), number)?;
        let name = name.to_ascii_lowercase();
        let ip = name.parse().ok();
        if ip.is_none() {
            check_name(&name)?;
        }
        Ok(Self { plain, name, ip, port })
    }

    /// The same host with TLS, at the usual port where this one is at the usual port without.
    pub(super) fn with_tls(&self) -> Self {
        let port = if self.plain && self.port == 80 { 443 } else { self.port };
        Self { plain: false, port, ..self.clone() }
    }

    /// Its name, or its address without brackets.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its address where it is named by it.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The one scheme it is reached by.
    pub(super) fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    /// The URL of its root, without a slash at its end.
    pub(super) fn origin(&self) -> String {
        let text = self.to_string();
        if self.plain { text } else { format!("https://{text}") }
    }
}

impl FromStr for GitHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (plain, rest) = match text.split_once("://") {
            None => (false, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (true, rest),
            Some((scheme, _)) => {
                return Err(format!(
                    "the Git host {text:?} has the scheme {scheme:?}; only https and http are fetched"
                ));
            }
        };
        let form = "write a host such as github.com, git.example.com:8443 or http://git.example.com:3000";
        Self::read(rest, plain).map_err(|what| format!("{text:?} is not a Git host: {what}; {form}"))
    }
}

impl fmt::Display for GitHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plain {
            f.write_str("http://")?;
        }
        match self.ip {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]")?,
            _ => f.write_str(&self.name)?,
        }
        match self.port {
            443 if !self.plain => Ok(()),
            80 if self.plain => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    let is_label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.is_empty() {
        return Err("it names no host");
    }
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("its host is not a host name; write it with letters, digits, `-` and `.`");
    }
    // `127.1`, `0x7f.1` and `2130706433` are addresses to some programs and names to others.
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
    if is_number && name.parse::<Ipv4Addr>().is_err() {
        return Err("its host is a number that is not an IPv4 address; write four numbers of 0 to 255");
    }
    Ok(())
}

/// A repository and what is wanted of it, in a form that means one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitAddress {
    host: GitHost,
    path: String,
    reference: Option<String>,
}

impl GitAddress {
    /// Reads a URL, and a branch, tag, `refs/…` or full commit hash; without one the repository's default branch is meant.
    /// Whether the host is allowed is not looked at here.
    ///
    /// # Errors
    /// [`GitError::Url`] and [`GitError::Reference`]. The URL is not repeated in them, since it may hold a password.
    pub fn parse(url: &str, reference: Option<&str>) -> Result<Self, GitError> {
        let (host, path) = read_url(url).map_err(GitError::Url)?;
        if let Some(reference) = reference {
            check_reference(reference).map_err(|what| {
                let shown: String = reference.chars().take(100).collect();
                GitError::Reference { reference: shown, what }
            })?;
        }
        Ok(Self { host, path, reference: reference.map(str::to_owned) })
    }

    /// The URL as it is fetched. It has no user name, password, query or fragment.
    pub fn url(&self) -> String {
        format!("{}{}", self.host.origin(), self.path)
    }

    /// The ref that was asked for; none for the default branch.
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// The server of the repository.
    pub fn host(&self) -> &GitHost {
        &self.host
    }
}

fn read_url(url: &str) -> Result<(GitHost, String), &'static str> {
    if url.chars().any(char::is_control) {
        return Err("it has control characters");
    }
    if url.len() > URL_MAX {
        return Err("it is longer than 2048 bytes");
    }
    let (scheme, rest) = match url.split_once("://") {
        Some(parts) => parts,
        None if url.starts_with('-') => return Err("it begins with `-`"),
        None if url.contains("::") => return Err("it names a transport program; only https:// is fetched"),
        None if url.contains(':') => {
            return Err("it is not an https:// URL; addresses of SSH, such as user@host:path, are not fetched");
        }
        None => return Err("it does not begin with https://"),
    };
    let plain = match scheme {
        scheme if scheme.eq_ignore_ascii_case("https") => false,
        scheme if scheme.eq_ignore_ascii_case("http") => true,
        _ => return Err("its scheme is not https"),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("it has a user name or password; leave them out, and send a token as the token");
    }
    let host = GitHost::read(authority, plain)?;
    if path.contains(['?', '#']) {
        return Err("it has a query or a fragment; leave out what begins with `?` or `#`");
    }
    check_path(path)?;
    Ok((host, path.to_owned()))
}

/// Only what no program reads in two ways.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.trim_matches('/').is_empty() {
        return Err("it has no path; write the path of the repository, such as https://github.com/owner/name");
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    if !path.bytes().all(is_plain) {
        return Err("its path has a character that no URL has; encode it with %");
    }
    for (at, _) in path.match_indices('%') {
        let code = path.get(at + 1..at + 3).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            None => return Err("its path has a `%` that two hexadecimal digits do not follow"),
            Some(byte) if byte.is_ascii_control() => return Err("its path has an encoded control character"),
            Some(b'/' | b'\\' | b'.') => return Err("its path has an encoded `/`, `\\` or `.`; write them plainly"),
            Some(_) => {}
        }
    }
    if path.split('/').any(|name| matches!(name, "." | "..")) {
        return Err("its path has `.` or `..` for a name");
    }
    Ok(())
}

/// The rules of `git check-ref-format`, and no refspec.
fn check_reference(reference: &str) -> Result<(), &'static str> {
    if reference.is_empty() {
        return Err("is empty; leave it out for the default branch");
    }
    if reference.len() > REFERENCE_MAX {
        return Err("is longer than 255 bytes");
    }
    if reference.starts_with('-') {
        return Err("begins with `-`");
    }
    if reference.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("has a space or a control character");
    }
    if reference.starts_with('+') || reference.contains(['~', '^', ':', '?', '*', '[', '\\']) {
        return Err("has a character that no ref has, or that means several");
    }
    if reference == "@" || reference.contains("..") || reference.contains("@{") {
        return Err("is an expression; name one branch, tag or commit");
    }
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.ends_with(".lock");
    if reference.ends_with('.') || !reference.split('/').all(is_name) {
        return Err("is not a name that git allows");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_into_one_form() {
        for (url, read) in [
            ("https://github.com/o/n", "https://github.com/o/n"),
            ("HTTPS://GitHub.com:443/o/n.git", "https://github.com/o/n.git"),
            ("https://git.example.com:8443/a/~b/c%20d", "https://git.example.com:8443/a/~b/c%20d"),
            ("http://git.example.com:80/a@b", "http://git.example.com/a@b"),
            ("https://[2606:4700:0::1]:1/a", "https://[2606:4700::1]:1/a"),
            ("https://140.82.121.3/a", "https://140.82.121.3/a"),
        ] {
            assert_eq!(GitAddress::parse(url, None).unwrap().url(), read);
        }
    }

    #[test]
    fn a_url_that_is_none_or_could_be_two_is_refused_and_not_repeated() {
        for (url, says) in [
            ("", "https://"),
            ("github.com/o/n", "https://"),
            ("/etc/passwd", "https://"),
            ("--upload-pack=marker", "`-`"),
            ("file:///etc/passwd", "scheme"),
            ("ssh://host/marker", "scheme"),
            ("git://host/marker", "scheme"),
            ("ftp://host/marker", "scheme"),
            ("-https://host/marker", "scheme"),
            ("ext::sh -c marker", "transport"),
            ("git@github.com:marker/n.git", "SSH"),
            ("https://user:marker@github.com/o/n", "user name or password"),
            ("https://marker@github.com/o/n", "user name or password"),
            ("https://github.com\\@evil.example/marker", "its path"),
            ("https://github.com#@evil.example/marker", "fragment"),
            ("https://github.com/o/n?token=marker", "query"),
            ("https://github.com", "no path"),
            ("https://github.com//", "no path"),
            ("https:///marker", "no host"),
            ("https://github.com./marker", "host name"),
            ("https://gïthub.com/marker", "host name"),
            ("https://-x.com/marker", "host name"),
            ("https://github.com:/marker", "port"),
            ("https://github.com:0/marker", "port"),
            ("https://github.com:+1/marker", "port"),
            ("https://github.com:65536/marker", "port"),
            ("https://github.com:1:2/marker", "port"),
            ("https://[::1/marker", "bracket"),
            ("https://[::1]x/marker", "IPv6"),
            ("https://[fe80::1%25eth0]/marker", "IPv6"),
            ("https://2130706433/marker", "number"),
            ("https://127.1/marker", "number"),
            ("https://0177.0.0.1/marker", "number"),
            ("https://127.0.0.0x1/marker", "number"),
            ("https://github.com/marker\n", "control"),
            ("https://github.com/marker%0a", "control"),
            ("https://github.com/marker%2e%2e/x", "encoded"),
            ("https://github.com/marker%zz", "`%`"),
            ("https://github.com/marker%é", "no URL has"),
            ("https://github.com/marker%1", "`%`"),
            ("https://github.com/marker x", "no URL has"),
            ("https://github.com/../marker", "`..`"),
            (&format!("https://github.com/{}", "marker".repeat(400)), "2048"),
        ] {
            let told = GitAddress::parse(url, None).unwrap_err();
            assert!(matches!(told, GitError::Url(_)), "{told:?}");
            let told = told.to_string();
            assert!(told.contains(says), "{url}: {told}");
            assert!(!told.contains("marker"), "{told}");
        }
    }

    #[test]
    fn refs_are_names_and_nothing_else() {
        let parse = |reference: &str| GitAddress::parse("https://github.com/o/n", Some(reference));
        let hash = "0123456789abcdef".repeat(4);
        for good in ["main", "feature/x", "v1.2+build", "refs/heads/main", "refs/pull/7/head", "HEAD", "ñ", &hash] {
            assert_eq!(parse(good).unwrap().reference(), Some(good));
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "+main",
            "a:b",
            ":",
            "main:refs/heads/x",
            "a*",
            "a..b",
            "a@{1}",
            "@",
            "a b",
            "a\nb",
            "a\u{7f}",
            "a\u{a0}b",
            "a~1",
            "a^",
            "^a",
            "a?",
            "a[b",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.",
            "a.lock",
            "a.lock/b",
            &"x".repeat(256),
        ] {
            assert!(matches!(parse(bad), Err(GitError::Reference { .. })), "{bad:?}");
        }
        let told = parse(&format!("-{}", "x".repeat(300))).unwrap_err().to_string();
        assert!(told.len() < 400, "{told}");
    }

    #[test]
    fn hosts_are_read() {
        for (text, shown) in [
            ("GitHub.com", "github.com"),
            ("https://github.com:443", "github.com"),
            ("git.example.com:8443", "git.example.com:8443"),
            ("http://git.example.com:3000", "http://git.example.com:3000"),
            ("http://git.example.com:80", "http://git.example.com"),
            ("[::1]:3000", "[::1]:3000"),
        ] {
            assert_eq!(text.parse::<GitHost>().unwrap().to_string(), shown);
        }
        for bad in ["", "github.com/o", "user@github.com", "ssh://github.com", "*.example.com", "github.com:x", "a b"] {
            let told = bad.parse::<GitHost>().unwrap_err();
            assert!(told.contains("http"), "{told}");
        }
        assert_ne!("http://github.com:443".parse::<GitHost>(), "github.com".parse::<GitHost>());
    }
}
