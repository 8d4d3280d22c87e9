//! What makes this installation this one: its master key and its id, made at the first start.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use uuid::Uuid;

/// What makes this installation this one.
pub(crate) struct Installation {
    /// Everything secret is derived from it. Whoever loses it loses every tenant's key.
    pub(crate) master: [u8; 32],
    /// On the label of everything of ours in an engine.
    pub(crate) id: String,
    /// Tells this data folder from those of other servers on the same database.
    pub(crate) server: String,
}

impl Installation {
    /// Reads the master key and the id, or makes them.
    ///
    /// # Errors
    /// The folder cannot be written, or the key is not one or is open to others.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        prepare(data)?;
        let master = read_or_make(&data.join("master.key"), || {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
            Ok(key)
        })?;
        let id = |name| -> Result<String> {
            let id: [u8; 16] = read_or_make(&data.join(name), || {
                let mut id = [0; 16];
                getrandom::fill(&mut id).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
                Ok(id)
            })?;
            Ok(Uuid::from_bytes(id).simple().to_string())
        };
        Ok(Self { master, id: id("installation")?, server: id("server-id")? })
    }
}

/// Makes the data folder, for its owner's eyes only.
///
/// # Errors
/// It cannot be made or closed to others.
pub(crate) fn prepare(data: &Path) -> Result<()> {
    fs::create_dir_all(data).with_context(|| format!("cannot make the data folder {}", data.display()))?;
    fs::set_permissions(data, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot close the data folder {} to others", data.display()))
}

/// Makes sure that no other server works on the same database file or data folder, for as long as the answer is kept.
/// The system lets go of it when the process ends, however it ends.
///
/// # Errors
/// Another server has it, or its folder cannot be written.
pub(crate) fn lock(guarded: &Path) -> Result<File> {
    let mut path = guarded.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another server works on {}; stop it, or set another `data-dir` and `database`", guarded.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// Makes the file whole or not at all: a server killed here must not leave half a key.
fn read_or_make<const N: usize>(path: &Path, make: impl FnOnce() -> Result<[u8; N]>) -> Result<[u8; N]> {
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let bytes = make()?;
            let fresh = path.with_extension(format!("new-{}", std::process::id()));
            let write = || -> std::io::Result<()> {
                let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                // Unlike a rename, a link never replaces what another process made first.
                let linked = fs::hard_link(&fresh, path);
                fs::remove_file(&fresh)?;
                linked?;
                path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
            };
            match write() {
                Ok(()) => Ok(bytes),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    read(File::open(path).with_context(|| format!("cannot read {}", path.display()))?, path)
                }
                Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
            }
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn read<const N: usize>(mut file: File, path: &Path) -> Result<[u8; N]> {
    let mode = file.metadata().with_context(|| format!("cannot look at {}", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{} can be read by others (mode {:o}); run `chmod 600 {}`", path.display(), mode & 0o777, path.display());
    }
    let mut bytes = Vec::with_capacity(N + 1);
    Read::by_ref(&mut file)
        .take(N as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        anyhow::anyhow!("{} does not have {N} bytes but {}; restore it from a backup", path.display(), bytes.len())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_servers_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("convergence.db");
        let first = lock(&database).unwrap();
        assert!(format!("{:#}", lock(&database).unwrap_err()).contains("data-dir"));
        drop(first);
        lock(&database).unwrap();
    }

    #[test]
    fn an_installation_stays_the_same_and_refuses_an_open_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = Installation::open(folder.path()).unwrap();
        let second = Installation::open(folder.path()).unwrap();
        assert_eq!((first.master, &first.id), (second.master, &second.id));

        let key = folder.path().join("master.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(format!("{:#}", Installation::open(folder.path()).err().unwrap()).contains("chmod 600"));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, b"short").unwrap();
        assert!(Installation::open(folder.path()).is_err());
    }
}
