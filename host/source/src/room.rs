//! Leaving room on the disk: other things of the server's may be on it.

use std::io;
use std::path::PathBuf;

/// Bytes that are written between two looks at the disk.
const STRIDE: u64 = 4 << 20;

/// Lets a writer go on for as long as the disk has room.
pub(crate) struct Room {
    folder: PathBuf,
    reserve: u64,
    /// Bytes since the disk was looked at.
    written: u64,
}

impl Room {
    /// On the disk of a folder, of which so many bytes stay free.
    pub(crate) fn new(folder: PathBuf, reserve: u64) -> Self {
        Self { folder, reserve, written: STRIDE }
    }

    /// Lets so many bytes be written.
    ///
    /// # Errors
    /// [`io::ErrorKind::StorageFull`] where the disk has too little left; when it cannot be asked.
    pub(crate) fn take(&mut self, bytes: u64) -> io::Result<()> {
        self.written = self.written.saturating_add(bytes);
        if self.written < STRIDE {
            return Ok(());
        }
        self.written = 0;
        let disk = rustix::fs::statvfs(&self.folder)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve {
            let (free, reserve) = (free >> 20, self.reserve >> 20);
            let message = format!("it has {free} MiB left, and {reserve} MiB are kept free");
            return Err(io::Error::new(io::ErrorKind::StorageFull, message));
        }
        Ok(())
    }
}
