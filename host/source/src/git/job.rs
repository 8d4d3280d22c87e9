//! The steps of a fetch, each a run of git.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::error::{is_hash, meant};
use super::run::Wall;
use super::{GitAddress, GitError, tree};
use crate::SourceLimits;
use crate::receive::{Made, rewrite};

/// The oldest git that can be told which addresses to connect to.
const OLDEST: (u32, u32) = (2, 37);
/// Bytes of a tar for each of its entries, beside its contents.
const HEADERS: u64 = 4096;
/// Bytes of a tar beside all of its entries.
const ENDS: u64 = 1 << 20;
/// No attribute of the repository changes a file or leaves one out: these come before its own. (`git archive` has no option
/// for it.)
const ATTRIBUTES: &str = "* -export-ignore -export-subst -text !eol -ident !filter !working-tree-encoding\n";

/// A source that was fetched and is not kept yet.
pub(super) struct Got {
    pub(super) made: Made,
    pub(super) commit: String,
}

/// Fetches a commit and makes a source of it.
pub(super) fn fetch(
    wall: &Wall,
    address: &GitAddress,
    signed_in: bool,
    incoming: &Path,
    limits: SourceLimits,
) -> Result<Got, GitError> {
    check_version(wall)?;
    get(wall, address, signed_in, limits.archive_bytes)?;
    let commit = commit(wall, address)?;
    tree::check(wall, &commit)?;
    fs::create_dir_all(wall.path("repository/info"))?;
    fs::write(wall.path("repository/info/attributes"), ATTRIBUTES)?;
    let headers = (limits.entries as u64).saturating_mul(HEADERS);
    let most = limits.unpacked_bytes.saturating_add(headers).saturating_add(ENDS);
    let tar = wall.local(&["archive", "--format=tar", &commit], Stdio::null(), most)?.success()?;
    Ok(Got { made: rewrite(&tar, incoming, limits)?, commit })
}

/// Whether git is there, and new enough. Asked every time, since it may be installed while the server runs.
fn check_version(wall: &Wall) -> Result<(), GitError> {
    let ended = wall.local(&["--version"], Stdio::null(), ENDS)?;
    // What the shell answers that cannot start a program.
    if matches!(ended.status.code(), Some(126 | 127)) {
        return Err(GitError::Unusable("the server has no git".to_owned()));
    }
    new_enough(&ended.success_text()?)
}

/// Whether what git says is a version that can be used.
pub(super) fn new_enough(said: &str) -> Result<(), GitError> {
    let mut numbers = said.split(' ').nth(2).unwrap_or_default().split('.').map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST => Ok(()),
        (Some(Ok(major)), Some(Ok(minor))) => {
            Err(GitError::Unusable(format!("the git of the server is {major}.{minor}, which is too old")))
        }
        _ => Err(GitError::Unusable("the git of the server does not say its version".to_owned())),
    }
}

/// Fetches the one commit.
fn get(wall: &Wall, address: &GitAddress, signed_in: bool, bytes: u64) -> Result<(), GitError> {
    let (url, reference) = (address.url(), address.reference().unwrap_or("HEAD"));
    let long = is_hash(reference) && reference.len() == 64;
    let formats: &[&str] = if long { &["sha256"] } else { &["sha1", "sha256"] };
    for format in formats {
        let kind = format!("--object-format={format}");
        wall.local(&["init", "--quiet", "--bare", "--template=", &kind], Stdio::null(), ENDS)?.success()?;
        let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", &url, reference];
        let ended = wall.remote(&fetch, bytes)?;
        if ended.status.success() {
            return Ok(());
        }
        // Which hash a repository has is known when its server answers.
        if *format == "sha256" || !ended.said.contains("mismatched algorithms") {
            return Err(meant(&ended.said, address, signed_in));
        }
        fs::remove_dir_all(wall.path("repository"))?;
    }
    Ok(())
}

/// The commit that was fetched, behind a tag perhaps.
fn commit(wall: &Wall, address: &GitAddress) -> Result<String, GitError> {
    let ended = wall.local(&["rev-parse", "--verify", "--quiet", "FETCH_HEAD^{commit}"], Stdio::null(), ENDS)?;
    if !ended.status.success() {
        let reference = address.reference().unwrap_or("HEAD").to_owned();
        return Err(GitError::NotACommit { url: address.url(), reference });
    }
    let text = ended.success_text()?;
    let hash = text.trim();
    if !is_hash(hash) {
        return Err(GitError::Failed(format!("{hash:?} is not the hash of a commit")));
    }
    Ok(hash.to_owned())
}
