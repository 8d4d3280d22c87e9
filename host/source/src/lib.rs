//! Sources of applications.
//!
//! An archive is received as a stream, or made of a commit that is fetched from a Git repository. It is checked entry by entry,
//! and kept as one tar under the hash of what is in it. Two archives of the same files are the same source. The tar has the names
//! that a build wants, so a build sends it on as it lies there; what is in it stands behind its end. Nothing is ever unpacked on
//! the host's file system, so no link and no name in an archive can matter there.
//!
//! This room knows nothing of tenants: which sources are needed is for its callers to say.

mod archive;
mod context;
mod dockerignore;
mod entry;
mod error;
mod git;
mod kept;
mod meter;
mod receive;
mod room;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use convergence_model::SourceDigest;
use tokio::sync::Semaphore;

pub use context::BuildContext;
pub use dockerignore::DockerIgnore;
pub use error::SourceError;
pub use git::{Fetched, GitAddress, GitError, GitHost, GitSettings, Network};
pub use kept::{Changed, FileChange, KeptSource};
pub use receive::Received;

/// What an upload may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// Bytes of an archive as it is sent.
    pub archive_bytes: u64,
    /// Bytes of all files of an archive.
    pub unpacked_bytes: u64,
    /// Files, folders and links of an archive.
    pub entries: usize,
    /// Uploads received at the same time.
    pub at_once: usize,
    /// How long one upload may take.
    pub patience: Duration,
    /// What must arrive within every [`SourceLimits::PACE`].
    pub pace_bytes: u64,
    /// Bytes that stay free on the disk.
    pub reserve: u64,
}

impl SourceLimits {
    /// How long a sender may take for [`SourceLimits::pace_bytes`].
    pub const PACE: Duration = Duration::from_secs(20);
}

impl Default for SourceLimits {
    fn default() -> Self {
        Self {
            archive_bytes: 256 << 20,
            unpacked_bytes: 1 << 30,
            entries: 20_000,
            at_once: 4,
            patience: Duration::from_secs(900),
            pace_bytes: 64 << 10,
            reserve: 1 << 30,
        }
    }
}

/// The sources that are kept, in one folder. Servers that share a database share this folder too.
#[derive(Debug)]
pub struct Sources {
    folder: PathBuf,
    limits: SourceLimits,
    turns: Arc<Semaphore>,
}

/// How long what an upload left behind is kept, in how long an upload may take at most: it is received and then looked at.
const ABANDONED: u32 = 3;

impl Sources {
    /// Opens the folder, and makes it where it is missing. What uploads left behind that were cut off is removed.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: PathBuf, limits: SourceLimits) -> io::Result<Self> {
        let incoming = folder.join(INCOMING);
        std::fs::create_dir_all(&incoming)?;
        remove_abandoned(&incoming, limits.patience * ABANDONED)?;
        Ok(Self { folder, limits, turns: Arc::new(Semaphore::new(limits.at_once)) })
    }

    /// A source that is kept; none where it is not.
    ///
    /// # Errors
    /// Its index cannot be read.
    pub async fn get(&self, digest: &SourceDigest) -> io::Result<Option<KeptSource>> {
        let path = self.path(digest);
        tokio::task::spawn_blocking(move || KeptSource::open(path)).await.map_err(io::Error::other)?
    }

    /// Every source whose file is older than this. Removes what uploads left behind that were cut off.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn kept_since(&self, age: Duration) -> io::Result<Vec<SourceDigest>> {
        let (folder, incoming, abandoned) = (self.folder.clone(), self.incoming(), self.limits.patience * ABANDONED);
        let look = move || {
            remove_abandoned(&incoming, abandoned)?;
            let mut found = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let hex = name.to_str().and_then(|name| name.strip_suffix(TAR));
                let Some(digest) = hex.and_then(SourceDigest::from_hex) else { continue };
                if is_older(&entry, age) {
                    found.push(digest);
                }
            }
            Ok(found)
        };
        tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?
    }

    /// Removes a source. One that is not there is removed.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub async fn remove(&self, digest: &SourceDigest) -> io::Result<()> {
        match tokio::fs::remove_file(&self.path(digest)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, digest: &SourceDigest) -> PathBuf {
        self.folder.join(format!("{}{TAR}", digest.hex()))
    }

    fn incoming(&self) -> PathBuf {
        self.folder.join(INCOMING)
    }

    /// Where the sources are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The folder of uploads that are under way.
const INCOMING: &str = "incoming";
const TAR: &str = ".tar";

/// Removes what uploads and fetches wrote that are not under way any more.
fn remove_abandoned(incoming: &Path, age: Duration) -> io::Result<()> {
    for entry in std::fs::read_dir(incoming)? {
        let entry = entry?;
        if !is_older(&entry, age) {
            continue;
        }
        // What cannot be removed now is tried again.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            std::fs::remove_dir_all(entry.path()).ok();
        } else {
            std::fs::remove_file(entry.path()).ok();
        }
    }
    Ok(())
}

fn is_older(entry: &DirEntry, age: Duration) -> bool {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > age))
}
