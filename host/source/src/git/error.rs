//! Why a repository was not fetched, and what git meant by what it said.

use std::net::IpAddr;
use std::time::Duration;

use super::GitAddress;
use crate::SourceError;

/// Characters of what git said that are shown.
const SHOWN: usize = 300;

/// Why a repository was not fetched. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The URL is not one that is fetched. It is not repeated, since it may hold a password.
    #[error("the Git URL is not allowed: {0}; write https://host/path")]
    Url(&'static str),
    /// The ref is not a name.
    #[error("the Git ref {reference:?} {what}; write a branch, a tag or a full commit hash")]
    Reference {
        /// How it begins.
        reference: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The operator does not allow the host.
    #[error("the Git host {host} is not allowed: {}; \
         the operator allows hosts by `git-hosts` in [sources]", none_or(.allowed))]
    HostNotAllowed {
        /// The one asked for.
        host: String,
        /// Those that are.
        allowed: Vec<String>,
    },
    /// The host has an address that is not on the public internet.
    #[error(
        "the Git host {host} leads to {address}, which is {what}; \
         the operator allows such addresses by `git-networks` in [sources]"
    )]
    AddressNotAllowed {
        /// The host.
        host: String,
        /// The first of its addresses that is not allowed.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// The name of the host has no address.
    #[error("the address of the Git host {host} is not known now: {cause}; try again later, and check its name")]
    Unresolved {
        /// The host.
        host: String,
        /// What the resolver said.
        cause: String,
    },
    /// The host cannot be reached, or is silent.
    #[error("the Git host {host} does not answer: {cause}; try again later")]
    NoAnswer {
        /// The host.
        host: String,
        /// What was seen.
        cause: String,
    },
    /// The certificate of the host is not one that the server trusts.
    #[error(
        "the Git host {host} has no valid certificate: {cause}; \
         the operator names a private authority by `git-ca-file` in [sources]"
    )]
    Certificate {
        /// The host.
        host: String,
        /// What git said.
        cause: String,
    },
    /// The host answered with another URL.
    #[error("{url} redirects to another URL, which is not followed; write the URL that it redirects to")]
    Redirected {
        /// The one asked for.
        url: String,
    },
    /// There is no such repository, or this caller may not see it.
    #[error("there is no repository at {url}, or it is private: {}", how_to_sign_in(*.signed_in))]
    NotFound {
        /// The one asked for.
        url: String,
        /// Whether a token was sent.
        signed_in: bool,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{url} has no {}", what_is_absent(.reference.as_deref()))]
    ReferenceAbsent {
        /// The repository.
        url: String,
        /// What was asked for; none for the default branch.
        reference: Option<String>,
    },
    /// What was asked for is there and is no commit.
    #[error("{reference:?} of {url} is not a commit; write a branch, a tag of a commit or a full commit hash")]
    NotACommit {
        /// The repository.
        url: String,
        /// What was asked for.
        reference: String,
    },
    /// It is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// It took longer than allowed.
    #[error("the repository was not fetched within {} s; \
         try again, or ask the operator for a larger `git-seconds` in [sources]", .0.as_secs())]
    TooSlow(Duration),
    /// It has submodules, which are not fetched.
    #[error("the repository has submodules, which are not fetched: {}; \
         add their files to the repository", some_of(.paths, *.more))]
    Submodules {
        /// The first of them.
        paths: Vec<String>,
        /// How many there are besides.
        more: usize,
    },
    /// It has files whose contents are elsewhere, in Git LFS.
    #[error("the repository has files in Git LFS, which are not fetched: {}; \
         add them to the repository itself, or upload an archive", some_of(.paths, *.more))]
    Lfs {
        /// The first of them.
        paths: Vec<String>,
        /// How many there are besides.
        more: usize,
    },
    /// The server has no git that can be used.
    #[error("{0}; the operator installs git 2.37 or later on the server")]
    Unusable(String),
    /// Git failed for another reason. What it says holds text of the repository's server.
    #[error("git could not fetch the repository: {0:?}")]
    Failed(String),
    /// What was fetched is refused as an archive would be; the disk is full; as many sources as allowed are on their way.
    #[error(transparent)]
    Source(#[from] SourceError),
}

fn none_or(allowed: &[String]) -> String {
    match allowed {
        [] => "none is".to_owned(),
        _ => format!("only {} may be fetched from", allowed.join(", ")),
    }
}

fn how_to_sign_in(signed_in: bool) -> &'static str {
    if signed_in {
        "the token that was sent does not open it; check the URL, and that the token may read this repository"
    } else {
        "check the URL, and send a token where it is private"
    }
}

fn what_is_absent(reference: Option<&str>) -> String {
    let is_hex = |name: &str| name.len() >= 7 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(name) = reference else {
        return "default branch; push a commit to it, or name a branch".to_owned();
    };
    let do_so = match name {
        _ if is_hash(name) => "its server gives out no such commit; name a branch or a tag",
        _ if is_hex(name) => "a commit is named by its full hash; check the name",
        _ => "check the name",
    };
    format!("branch, tag or commit {name:?}; {do_so}")
}

fn some_of(paths: &[String], more: usize) -> String {
    let shown: Vec<_> = paths.iter().map(|path| format!("{path:?}")).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    shown.join(", ") + &more
}

/// Whether this is a full hash of a commit, of SHA-1 or SHA-256.
pub(super) fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Which failure git means. `said` is one that [`told`] has made.
pub(super) fn meant(said: &str, address: &GitAddress, signed_in: bool) -> GitError {
    // What the repository's server wrote for its users does not come from git.
    let own: Vec<&str> = said.lines().filter(|line| !line.starts_with("remote:")).collect();
    let has = |parts: &[&str]| own.iter().any(|line| parts.iter().any(|part| line.contains(part)));
    let (url, host) = (address.url(), address.host().to_string());
    let cause = || shown(own.iter().find(|line| line.starts_with("fatal:")).map_or(said, |line| line));
    if has(&["The requested URL returned error: 30", "unable to update url base from redirection"]) {
        GitError::Redirected { url }
    } else if has(&[
        "could not read Username",
        "could not read Password",
        "Authentication failed",
        "returned error: 401",
        "returned error: 403",
        "returned error: 404",
        "' not found",
    ]) {
        GitError::NotFound { url, signed_in }
    } else if has(&["couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref"]) {
        GitError::ReferenceAbsent { url, reference: address.reference().map(str::to_owned) }
    } else if has(&["certificate"]) {
        GitError::Certificate { host, cause: cause() }
    } else if has(&[
        "Failed to connect",
        "Couldn't connect",
        "Operation too slow",
        "timed out",
        "Empty reply",
        "SSL",
        "TLS",
    ]) {
        GitError::NoAnswer { host, cause: cause() }
    } else if has(&["Out of memory", "out of memory", "mmap failed"]) {
        GitError::TooLarge("the repository needs more memory than git may use; leave out large files".to_owned())
    } else if has(&["No space left on device", "Disk quota exceeded"]) {
        SourceError::Full("the server's disk is full; tell its operator".to_owned()).into()
    } else {
        failed(said)
    }
}

/// What git says that means nothing in particular.
pub(super) fn failed(said: &str) -> GitError {
    GitError::Failed(shown(said))
}

/// What git wrote, without what must not be shown: control characters but for the ends of lines, and the secrets.
pub(super) fn told(bytes: &[u8], secrets: &[String]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "…");
    }
    // A carriage return begins a line of its own, which is how progress is written.
    text.replace('\r', "\n").replace(|c: char| c.is_control() && c != '\n', " ")
}

/// In one line of bounded length.
fn shown(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = lines.join("; ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str) -> GitError {
        let address = GitAddress::parse("https://git.example.com/o/n", Some("main")).unwrap();
        meant(&told(said.as_bytes(), &["s3cret".to_owned()]), &address, false)
    }

    #[test]
    fn what_git_says_is_understood() {
        let https = "fatal: unable to access 'https://git.example.com/o/n/': ";
        assert!(matches!(of("fatal: repository 'https://git.example.com/o/n/' not found"), GitError::NotFound { .. }));
        assert!(matches!(of(&format!("{https}The requested URL returned error: 403")), GitError::NotFound { .. }));
        assert!(matches!(of(&format!("{https}The requested URL returned error: 302")), GitError::Redirected { .. }));
        assert!(matches!(of("fatal: couldn't find remote ref main"), GitError::ReferenceAbsent { .. }));
        assert!(matches!(of("fatal: remote error: upload-pack: not our ref 1"), GitError::ReferenceAbsent { .. }));
        assert!(matches!(
            of(&format!("{https}server certificate verification failed. CAfile: none CRLfile: none")),
            GitError::Certificate { .. }
        ));
        assert!(matches!(
            of(&format!("{https}SSL certificate problem: self-signed certificate")),
            GitError::Certificate { .. }
        ));
        assert!(matches!(of(&format!("{https}Operation too slow. Less than 1 bytes/sec")), GitError::NoAnswer { .. }));
        assert!(matches!(of("fatal: Out of memory, malloc failed (tried to allocate 1 bytes)"), GitError::TooLarge(_)));
        assert!(matches!(of("fatal: write error: No space left on device"), GitError::Source(SourceError::Full(_))));
    }

    #[test]
    fn what_a_server_writes_for_its_users_is_not_taken_for_gits_and_is_shown_in_one_line() {
        let told = of("remote: fatal: couldn't find remote ref main\nfatal: early EOF\u{1b}[2J\r\n s3cret\u{0}");
        let GitError::Failed(said) = &told else { panic!("{told:?}") };
        assert!(said.ends_with("fatal: early EOF [2J; …") && !said.contains('\n'), "{said:?}");
        let long = of(&format!("fatal: {}", "é".repeat(10_000))).to_string();
        assert!(long.chars().count() < 400, "{long}");
    }
}
