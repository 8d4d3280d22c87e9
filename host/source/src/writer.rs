//! Writes the one form in which every source is kept.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::time::Instant;

use convergence_model::SourceDigest;
use convergence_model::build::SOURCE_FOLDER;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::archive::{Raw, What};
use crate::entry::{self, Kind, Names};
use crate::room::Room;
use crate::{SourceError, SourceLimits};

/// Every tar consists of blocks of this many bytes.
const BLOCK: u64 = 512;

/// Writes a tar whose entries lie where a build wants them, of root, without dates.
pub(crate) struct Writer {
    tar: Builder<Counting<BufWriter<File>>>,
    names: Names,
    entries: BTreeMap<String, Kind>,
    files: usize,
    limits: SourceLimits,
    bytes: u64,
    left_out: bool,
    /// Entries, also those that are left out.
    seen: usize,
    began: Instant,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) entries: BTreeMap<String, Kind>,
    pub(crate) digest: SourceDigest,
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// How many there are.
    pub(crate) files: usize,
    /// Whether a repository's history was left out.
    pub(crate) left_out_git: bool,
}

impl Writer {
    pub(crate) fn new(file: File, room: Room, limits: SourceLimits) -> Result<Self, SourceError> {
        let mut tar = Builder::new(Counting::new(BufWriter::with_capacity(256 << 10, file), room));
        append(&mut tar, EntryType::Directory, &format!("{SOURCE_FOLDER}/"), 0o755, 0, &mut io::empty())?;
        let (names, entries) = Default::default();
        Ok(Self { tar, names, entries, files: 0, limits, bytes: 0, left_out: false, seen: 0, began: Instant::now() })
    }

    /// Takes one entry of an archive.
    ///
    /// # Errors
    /// It is not allowed; the disk is full.
    pub(crate) fn add(&mut self, raw: Raw<'_>) -> Result<(), SourceError> {
        // Also what is left out takes time.
        self.seen += 1;
        if self.seen > self.limits.entries.saturating_mul(10) {
            return Err(self.too_many());
        }
        if self.began.elapsed() > self.limits.patience {
            let limit = self.limits.patience.as_secs();
            return Err(SourceError::TooSlow(format!("it took more than {limit} s to look at; send less")));
        }
        if matches!(raw.what, What::Nothing) {
            return Ok(());
        }
        let Some(path) = entry::path(raw.path)? else {
            self.left_out |= raw.path.windows(4).any(|part| part == b".git");
            return Ok(());
        };
        let is_folder = matches!(raw.what, What::Folder);
        if let What::Other(kind) = raw.what {
            return Err(SourceError::Refused(format!(
                "the archive has {path:?}, which is {kind}; a source has files, folders and symbolic links only"
            )));
        }
        let (folders, is_new) = self.names.take(&path, is_folder)?;
        for folder in folders {
            self.folder(folder)?;
        }
        match raw.what {
            What::Folder if is_new => self.folder(path),
            What::Folder | What::Other(_) | What::Nothing => Ok(()),
            What::Link { to } => {
                let to = entry::link(&path, to)?;
                self.count(1)?;
                let mut header = header(EntryType::Symlink, 0o777, 0);
                self.tar.append_link(&mut header, format!("{SOURCE_FOLDER}/{path}"), &to)?;
                self.entries.insert(path, Kind::Link { to });
                Ok(())
            }
            What::File { size, executable, contents } => self.file(path, size, executable, contents),
        }
    }

    fn folder(&mut self, path: String) -> Result<(), SourceError> {
        self.count(1)?;
        append(&mut self.tar, EntryType::Directory, &format!("{SOURCE_FOLDER}/{path}/"), 0o755, 0, &mut io::empty())?;
        self.entries.insert(path, Kind::Folder);
        Ok(())
    }

    fn file(&mut self, path: String, size: u64, executable: bool, contents: &mut dyn Read) -> Result<(), SourceError> {
        self.count(1)?;
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.unpacked_bytes {
            return Err(SourceError::TooLarge(format!(
                "the files of the archive are more than {} MiB; leave out what is installed or generated",
                self.limits.unpacked_bytes >> 20
            )));
        }
        let mut measured = Measured { inner: contents, hash: Sha256::new(), read: 0, size };
        let mode = if executable { 0o755 } else { 0o644 };
        let to = format!("{SOURCE_FOLDER}/{path}");
        append(&mut self.tar, EntryType::Regular, &to, mode, size, &mut measured).map_err(|error| match error {
            error if error.kind() == io::ErrorKind::StorageFull => error.into(),
            error => SourceError::Unreadable(format!("{path:?} of the archive cannot be read: {error}; make it again")),
        })?;
        if measured.read != size {
            return Err(SourceError::Unreadable(format!(
                "{path:?} of the archive is cut off: it has {} of {size} bytes; make the archive again",
                measured.read
            )));
        }
        let at = self.tar.get_ref().written - size.next_multiple_of(BLOCK);
        let sha256 = data_encoding::HEXLOWER.encode(&measured.hash.finalize());
        self.entries.insert(path, Kind::File { size, executable, at, sha256 });
        self.files += 1;
        Ok(())
    }

    fn count(&self, more: usize) -> Result<(), SourceError> {
        if self.entries.len() + more > self.limits.entries {
            return Err(self.too_many());
        }
        Ok(())
    }

    fn too_many(&self) -> SourceError {
        SourceError::TooLarge(format!(
            "the archive has more than {} files and folders; leave out what is installed or generated, such as node_modules",
            self.limits.entries
        ))
    }

    /// Ends the tar, and says what is in it. Where everything is in one folder, that folder is left out, so that the
    /// application is at the root: `again` is then written as well, and is what counts.
    pub(crate) fn finish(
        mut self,
        again: impl FnOnce() -> io::Result<(File, Room)>,
    ) -> Result<(Written, Option<String>), SourceError> {
        if self.files == 0 {
            return Err(SourceError::Refused(
                "the archive has no files; pack the folder of the application".to_owned(),
            ));
        }
        let top = entry::only_folder(&self.entries);
        let mut file = self.end()?;
        let Some(top) = top else {
            return Ok((self.written(), None));
        };
        let (again, room) = again()?;
        let mut inner = Self { left_out: self.left_out, ..Self::new(again, room, self.limits)? };
        let below = |path: &str| path.strip_prefix(&top).and_then(|path| path.strip_prefix('/')).map(str::to_owned);
        for (path, kind) in &self.entries {
            let Some(path) = below(path) else { continue };
            let path = path.as_bytes();
            match kind {
                Kind::Folder => inner.add(Raw { path, what: What::Folder })?,
                Kind::Link { to } => inner.add(Raw { path, what: What::Link { to: to.as_bytes() } })?,
                Kind::File { size, executable, at, .. } => {
                    file.seek(SeekFrom::Start(*at))?;
                    let mut contents = (&mut file).take(*size);
                    let what = What::File { size: *size, executable: *executable, contents: &mut contents };
                    inner.add(Raw { path, what })?;
                }
            }
        }
        inner.end()?;
        Ok((inner.written(), Some(top)))
    }

    /// Ends the tar.
    fn end(&mut self) -> io::Result<File> {
        self.tar.finish()?;
        let out = &mut self.tar.get_mut().inner;
        out.flush()?;
        out.get_ref().try_clone()
    }

    fn written(self) -> Written {
        let digest = digest(&self.entries);
        Written { entries: self.entries, digest, bytes: self.bytes, files: self.files, left_out_git: self.left_out }
    }
}

pub(crate) fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

pub(crate) fn append(
    tar: &mut Builder<impl Write>,
    kind: EntryType,
    path: &str,
    mode: u32,
    size: u64,
    contents: &mut dyn Read,
) -> io::Result<()> {
    tar.append_data(&mut header(kind, mode, size), path, contents)
}

/// The hash of everything that is in a source and nothing else: neither the order in an archive, nor its compression, nor
/// dates. Every part goes in with its length, so that no two sources are one stream of bytes.
fn digest(entries: &BTreeMap<String, Kind>) -> SourceDigest {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(b"convergence-source-1");
    for (path, kind) in entries {
        part(path.as_bytes());
        match kind {
            Kind::Folder => part(b"folder"),
            Kind::Link { to } => {
                part(b"link");
                part(to.as_bytes());
            }
            Kind::File { executable, sha256, .. } => {
                part(if *executable { b"program" } else { b"file" });
                part(sha256.as_bytes());
            }
        }
    }
    SourceDigest::new(hash.finalize().into())
}

/// Counts what goes through, for as long as there is room for it.
pub(crate) struct Counting<W> {
    inner: W,
    written: u64,
    room: Room,
}

impl<W> Counting<W> {
    pub(crate) fn new(inner: W, room: Room) -> Self {
        Self { inner, written: 0, room }
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.room.take(bytes.len() as u64)?;
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes what is read, and reads no more than was said: what an archive says of a file's size may be a lie.
struct Measured<'a> {
    inner: &'a mut dyn Read,
    hash: Sha256,
    read: u64,
    size: u64,
}

impl Read for Measured<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if self.read > self.size {
            return Err(io::Error::other(format!("it has more than the {} bytes that the archive says", self.size)));
        }
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
