//! The key ring: keys that secrets are sealed with, in a file of the data folder or in the environment.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use convergence_access::Seals;
use convergence_model::Secret;
use convergence_provision::RingSource;
use convergence_store::Store;

use crate::config::variable;

/// The variable that has the ring, where it is not in a file: a key a line, or separated by `;`.
pub(crate) const VARIABLE: &str = "CONVERGENCE_KEYRING";

/// The file's name in the data folder.
const FILE: &str = "keyring";
/// Bytes of a ring: some hundred keys.
const MAX: u64 = 64 << 10;
/// What the file begins with.
const HEADER: &str = "# Keys that seal secrets in the database. The last one seals, and every one opens. Keep a copy: without its key\n\
     # no secret can be opened. A key may be removed once `convergence keys list` says that it is retired.\n";

/// The ring in a file.
#[derive(Debug)]
pub(crate) struct InFile(PathBuf);

/// The ring in the environment.
#[derive(Debug)]
struct InEnvironment(Secret);

/// Finds the key ring of an installation. The first start makes one; so does the first one of a version that has it.
///
/// # Errors
/// It cannot be read or made, or it is missing while the database needs one.
pub(crate) async fn find(data: &Path, store: &Store) -> Result<Box<dyn RingSource>> {
    if let Some(text) = variable(VARIABLE) {
        return Ok(Box::new(InEnvironment(Secret::new(text.replace(';', "\n")))));
    }
    let path = data.join(FILE);
    if !path.exists() {
        let known = store.sealing_keys().await.context("cannot read which keys sealed what")?;
        if let Some(key) = known.first() {
            bail!(
                "{} is missing, and the database was used with key {} of it. Restore the file from a backup \
                 (or, for one more server of this installation, copy it from another one), or give the ring in {VARIABLE}. \
                 Nothing was changed",
                path.display(),
                key.id
            );
        }
        let key = Seals::generate()?;
        write(&path, &Secret::new(format!("{HEADER}{}", key.expose())))
            .with_context(|| format!("cannot make the key ring {}", path.display()))?;
    }
    Ok(Box::new(InFile(path)))
}

/// The key ring as it is, without making one; none where there is none yet.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read(data: &Path) -> Result<Option<Secret>, String> {
    let path = data.join(FILE);
    match variable(VARIABLE) {
        Some(text) => Ok(Some(Secret::new(text.replace(';', "\n")))),
        None if !path.exists() => Ok(None),
        None => InFile(path).read().map(Some),
    }
}

impl RingSource for InFile {
    fn read(&self) -> Result<Secret, String> {
        let place = self.0.display();
        let mut file = File::open(&self.0).map_err(|error| format!("{place}: {error}"))?;
        let mode = file.metadata().map_err(|error| format!("{place}: {error}"))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!("{place} is open to other users (mode {:03o}); run `chmod 600 {place}`", mode & 0o777));
        }
        let mut text = String::new();
        Read::by_ref(&mut file).take(MAX + 1).read_to_string(&mut text).map_err(|error| format!("{place}: {error}"))?;
        if text.len() as u64 > MAX {
            return Err(format!("{place} has more than {MAX} bytes; remove keys that are retired"));
        }
        Ok(Secret::new(text))
    }

    fn add(&self, line: &Secret) -> Result<(), String> {
        let before = self.read()?;
        let gap = if before.expose().ends_with('\n') { "" } else { "\n" };
        let text = Secret::new(format!("{}{gap}{}", before.expose(), line.expose()));
        write(&self.0, &text).map_err(|error| format!("{}: {error}", self.0.display()))
    }

    fn can_add(&self) -> Result<(), String> {
        Ok(())
    }
}

impl RingSource for InEnvironment {
    fn read(&self) -> Result<Secret, String> {
        Ok(self.0.clone())
    }

    fn add(&self, _line: &Secret) -> Result<(), String> {
        self.can_add()
    }

    fn can_add(&self) -> Result<(), String> {
        Err(format!(
            "the key ring is in {VARIABLE}: add a key to it there, after the others, and start the server again"
        ))
    }
}

/// Writes the file anew, whole or not at all.
fn write(path: &Path, text: &Secret) -> std::io::Result<()> {
    // What the name leads to is written, where it is a link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(text.expose().as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn made(text: &str) -> (tempfile::TempDir, InFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        write(&path, &Secret::new(text)).unwrap();
        (folder, InFile(path))
    }

    #[test]
    fn a_key_is_added_after_the_others_and_the_file_is_the_owners_alone() {
        let (folder, ring) = made("# a note\n0a0b0c0d 00");
        ring.add(&Secret::new("11111111 ff\n")).unwrap();
        assert_eq!(ring.read().unwrap().expose(), "# a note\n0a0b0c0d 00\n11111111 ff\n");
        let mode = fs::metadata(&ring.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_ring_that_others_may_read_is_refused() {
        let (_folder, ring) = made("x");
        fs::set_permissions(&ring.0, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = ring.read().unwrap_err();
        assert!(refused.contains("chmod 600"), "{refused}");
        assert!(ring.add(&Secret::new("y")).is_err());
    }

    #[test]
    fn the_environment_cannot_be_written() {
        let ring = InEnvironment(Secret::new("x"));
        assert!(ring.add(&Secret::new("y")).unwrap_err().contains(VARIABLE));
    }
}
