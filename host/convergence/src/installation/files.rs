//! The files of the data folder: read with care, made whole or not at all, never replaced.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use uuid::Uuid;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept<T> {
    /// There is no such file.
    Absent,
    /// It is as it should be.
    Present(T),
    /// It is there, and cannot be used for this reason.
    Unusable(String),
}

impl<T> Kept<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Kept<U> {
        match self {
            Self::Absent => Kept::Absent,
            Self::Present(value) => Kept::Present(change(value)),
            Self::Unusable(reason) => Kept::Unusable(reason),
        }
    }
}

/// The data folder, for nobody's eyes but its owner's.
pub(crate) fn folder(data: &Path) -> Kept<()> {
    let place = data.display();
    match fs::metadata(data) {
        Err(error) if error.kind() == ErrorKind::NotFound => Kept::Absent,
        Err(error) => Kept::Unusable(format!("the data folder {place} cannot be read: {error}")),
        Ok(found) if !found.is_dir() => Kept::Unusable(format!(
            "the data folder {place} is not a folder; name another one with `data-dir` in the configuration"
        )),
        Ok(found) => match found.permissions().mode() & 0o777 {
            mode if mode & 0o077 != 0 => Kept::Unusable(format!(
                "the data folder {place} is open to other users (mode {mode:03o}), and it holds secrets: run \
                 `chmod 700 {place}`, or name another folder with `data-dir` in the configuration"
            )),
            _ => Kept::Present(()),
        },
    }
}

/// Reads a file of exactly `N` bytes that nobody else may read.
pub(crate) fn read<const N: usize>(path: &Path) -> Kept<[u8; N]> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Kept::Absent,
        Err(error) => Kept::Unusable(format!("{} cannot be read: {error}", path.display())),
        Ok(file) => match read_open(file, path) {
            Ok(bytes) => Kept::Present(bytes),
            Err(error) => Kept::Unusable(format!("{error:#}")),
        },
    }
}

/// The bytes of a file that must be there.
///
/// # Errors
/// It is not, or it cannot be used.
pub(crate) fn require<const N: usize>(path: &Path) -> Result<[u8; N]> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    read_open(file, path)
}

fn read_open<const N: usize>(mut file: File, path: &Path) -> Result<[u8; N]> {
    let place = path.display();
    let mode = file.metadata().with_context(|| format!("cannot read {place}"))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{place} is open to other users (mode {:03o}); run `chmod 600 {place}`", mode & 0o777);
    }
    let mut bytes = Vec::with_capacity(N + 1);
    Read::by_ref(&mut file)
        .take(N as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {place}"))?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        let size = if bytes.len() > N { format!("more than {N}") } else { bytes.len().to_string() };
        anyhow::anyhow!("{place} has {size} bytes instead of {N}; restore it from a backup")
    })
}

/// An id as it is written on labels and in the database.
pub(crate) fn hexadecimal(id: [u8; 16]) -> String {
    Uuid::from_bytes(id).simple().to_string()
}

/// Makes the data folder where it is missing, for its owner alone. One that is there keeps its mode.
///
/// # Errors
/// It cannot be made.
pub(crate) fn make_folder(data: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data folder {}", data.display()))
}

/// Makes a file of `N` random bytes, unless there is one: whole or not at all, for a server that is killed here must not leave
/// half a key.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn make_missing<const N: usize>(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces what another process made first.
        let linked = fs::hard_link(&fresh, path);
        fs::remove_file(&fresh)?;
        linked.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
        sync_folder_of(path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes an empty file, unless it is there.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn mark(path: &Path) -> Result<()> {
    let write = || {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        sync_folder_of(path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a file for good, if it is there.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn unmark(path: &Path) -> Result<()> {
    let remove = || match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder_of(path)),
    };
    remove().with_context(|| format!("cannot remove {}", path.display()))
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Says that no other server works on the same database file or data folder, for as long as it is kept. The system lets go of
/// it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock where its file is there from an earlier start. Changes nothing.
    ///
    /// # Errors
    /// Another server has it.
    pub(crate) fn of_earlier_start(guarded: &Path) -> Result<Option<Self>> {
        let path = place(guarded);
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Self::take(file, guarded).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }

    /// Makes the lock's file and takes it.
    ///
    /// # Errors
    /// Another server has it, or its folder cannot be written.
    pub(crate) fn make(guarded: &Path) -> Result<Self> {
        let path = place(guarded);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Self::take(file, guarded)
    }

    fn take(file: File, guarded: &Path) -> Result<Self> {
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another server works on {}; stop it, or set another `data-dir` and `database`",
                    guarded.display()
                )
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", place(guarded).display()))
            }
        }
    }
}

fn place(guarded: &Path) -> PathBuf {
    let mut path = guarded.as_os_str().to_owned();
    path.push(".lock");
    PathBuf::from(path)
}
