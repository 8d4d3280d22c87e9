//! Receiving an upload: to the disk first, so that memory stays flat and a slow sender holds no more than a file.

use std::fmt::Display;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use convergence_model::SourceDigest;
use futures_util::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::entry::Entry;
use crate::kept::Index;
use crate::room::Room;
use crate::writer::{Writer, Written};
use crate::{SourceError, SourceLimits, Sources, archive as archives};

/// What a sender that is one too many is told to wait.
const RETRY: Duration = Duration::from_secs(5);

/// A source that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The hash of what is in it.
    pub digest: SourceDigest,
    /// Bytes of all its files.
    pub bytes: u64,
    /// How many files are in it.
    pub files: usize,
    /// Whether it was kept already.
    pub known: bool,
    /// What was made of the archive, human-readable.
    pub notes: Vec<String>,
}

impl Sources {
    /// Receives an archive and keeps what is in it. `checksum` is the SHA-256 that the sender says the archive has.
    ///
    /// # Errors
    /// [`SourceError`]; nothing is kept then.
    pub async fn receive<E: Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        checksum: Option<[u8; 32]>,
    ) -> Result<Received, SourceError> {
        let turn = self.turn()?;
        let upload = self.spool(body, checksum).await?;
        let (folder, limits) = (self.incoming(), self.limits);
        let work = move || {
            // Held until the work is done, also where nobody waits for it any more.
            let _turn = turn;
            rewrite(&upload.reopen()?, &folder, limits)
        };
        let made = tokio::task::spawn_blocking(work).await;
        self.keep(made.map_err(io::Error::other)??).await
    }

    /// Lets one more source be received.
    pub(crate) fn turn(&self) -> Result<OwnedSemaphorePermit, SourceError> {
        let busy = SourceError::Busy { at_once: self.limits.at_once, retry: RETRY };
        Arc::clone(&self.turns).try_acquire_owned().map_err(|_| busy)
    }

    /// Keeps what was made of an archive, unless it is kept already.
    pub(crate) async fn keep(&self, made: Made) -> Result<Received, SourceError> {
        let Made { written, tar, notes } = made;
        let Written { digest, bytes, files, .. } = &written;
        let received = Received { digest: digest.clone(), bytes: *bytes, files: *files, known: false, notes };
        if self.get(&received.digest).await.is_ok_and(|there| there.is_some()) {
            return Ok(Received { known: true, ..received });
        }
        let (path, folder) = (self.path(&received.digest), self.folder.clone());
        let keep = move || -> io::Result<()> {
            let entries = written.entries.into_iter().map(|(path, kind)| Entry { path, kind }).collect();
            Index { digest: written.digest, bytes: written.bytes, entries }.append(tar.as_file())?;
            tar.as_file().sync_all()?;
            tar.persist(path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        tokio::task::spawn_blocking(keep).await.map_err(io::Error::other)??;
        Ok(received)
    }

    /// What receiving this archive would answer. Keeps nothing; blocks on the disk.
    ///
    /// # Errors
    /// [`SourceError`], as when it is received.
    pub fn check(&self, archive: &std::path::Path) -> Result<Received, SourceError> {
        let Made { written, notes, .. } = rewrite(&File::open(archive)?, &self.incoming(), self.limits)?;
        let Written { digest, bytes, files, .. } = written;
        Ok(Received { digest, bytes, files, known: false, notes })
    }

    /// Writes what arrives to the disk, as fast as it has to come.
    async fn spool<E: Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Send,
        checksum: Option<[u8; 32]>,
    ) -> Result<NamedTempFile, SourceError> {
        let upload = NamedTempFile::new_in(self.incoming())?;
        let mut file = tokio::io::BufWriter::with_capacity(256 << 10, tokio::fs::File::from_std(upload.reopen()?));
        let limits = &self.limits;
        let mut room = Room::new(self.incoming(), limits.reserve);
        let end = Instant::now() + limits.patience;
        let mut lap = (Instant::now() + SourceLimits::PACE, 0_u64);
        let (mut hash, mut bytes) = (checksum.map(|_| Sha256::new()), 0_u64);
        let mut body = std::pin::pin!(body);
        loop {
            let (until, at_start) = lap;
            let chunk = match tokio::time::timeout_at(until.min(end), body.next()).await {
                Ok(None) => break,
                Ok(Some(chunk)) => chunk.map_err(|error| SourceError::Cut { bytes, cause: error.to_string() })?,
                Err(_) if Instant::now() >= end => {
                    let limit = limits.patience.as_secs();
                    return Err(SourceError::TooSlow(format!("an upload may take {limit} s; send less")));
                }
                Err(_) => Bytes::new(),
            };
            bytes = bytes.saturating_add(chunk.len() as u64);
            if bytes > limits.archive_bytes {
                return Err(SourceError::TooLarge(format!(
                    "the archive is larger than {} MiB; leave out what is installed or generated",
                    limits.archive_bytes >> 20
                )));
            }
            if let Some(hash) = &mut hash {
                hash.update(&chunk);
            }
            room.take(chunk.len() as u64)?;
            file.write_all(&chunk).await?;
            if Instant::now() >= until {
                if bytes - at_start < limits.pace_bytes {
                    let (least, pace) = (limits.pace_bytes, SourceLimits::PACE.as_secs());
                    return Err(SourceError::TooSlow(format!("fewer than {least} bytes arrived in {pace} s")));
                }
                lap = (Instant::now() + SourceLimits::PACE, bytes);
            }
        }
        file.flush().await?;
        let got: Option<[u8; 32]> = hash.map(|hash| hash.finalize().into());
        match checksum.zip(got) {
            Some((wanted, got)) if wanted != got => {
                let hex = |bytes: [u8; 32]| data_encoding::HEXLOWER.encode(&bytes);
                Err(SourceError::Checksum { wanted: hex(wanted), got: hex(got) })
            }
            _ => Ok(upload),
        }
    }
}

/// A source in the form in which it is kept, not kept yet.
pub(crate) struct Made {
    written: Written,
    tar: NamedTempFile,
    notes: Vec<String>,
}

/// Makes a source of an archive. Blocks on the disk.
pub(crate) fn rewrite(archive: &File, folder: &std::path::Path, limits: SourceLimits) -> Result<Made, SourceError> {
    let mut tar = NamedTempFile::new_in(folder)?;
    let room = || Room::new(folder.to_owned(), limits.reserve);
    let mut writer = Writer::new(tar.reopen()?, room(), limits)?;
    archives::each(archive.try_clone()?, &limits, &mut |raw| writer.add(raw))?;
    let inner = NamedTempFile::new_in(folder)?;
    let (written, top) = writer.finish(|| Ok((inner.reopen()?, room())))?;
    let mut notes = Vec::new();
    if let Some(top) = top {
        tar = inner;
        notes.push(format!("Everything is in the folder `{top}`, which is taken as the root."));
    }
    if written.left_out_git {
        notes.push("`.git` was left out.".to_owned());
    }
    Ok(Made { written, tar, notes })
}
