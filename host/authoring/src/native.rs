//! Native code of the components that an author looked at last. To compile the interpreter in a component of Python takes
//! seconds, and every command would do it again.
//!
//! Native code is run as it is, and a project may be untrusted. So it is kept in the author's own cache folder and
//! not in the project, and the key that authenticates it is there too, readable by its owner alone.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use convergence_sandbox::SandboxConfig;

/// Below the author's home.
const FOLDER: &str = ".cache/convergence/plugins";

/// Components whose code is kept: for an interpreter, some 50 MB each.
const KEPT: usize = 8;

/// The configuration of a server, with the author's cache where there can be one.
pub(crate) fn config() -> SandboxConfig {
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    home.and_then(|home| cached(&home.join(FOLDER)).ok()).unwrap_or_default()
}

fn cached(folder: &Path) -> io::Result<SandboxConfig> {
    private_folder(folder)?;
    let cache_key = key(&folder.join("key"))?;
    let code = folder.join("native");
    private_folder(&code)?;
    make_room(&code)?;
    Ok(SandboxConfig { cache_dir: Some(code), cache_key, ..SandboxConfig::default() })
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// The key in a file, which is made where it is missing. An error where another command is just writing it: there is no
/// cache this once.
fn key(file: &Path) -> io::Result<[u8; 32]> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Ok(mut made) => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            made.write_all(&key)?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let key = fs::read(file)?;
            <[u8; 32]>::try_from(key).map_err(|_| io::Error::other("it is no key"))
        }
        Err(error) => Err(error),
    }
}

/// Removes the oldest, so that with what comes now there are at most [`KEPT`].
fn make_room(folder: &Path) -> io::Result<()> {
    let files = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        Ok((entry.metadata()?.modified()?, entry.path()))
    });
    // A file that another command has just removed is no reason to stop.
    let mut files: Vec<_> = files.filter_map(io::Result::ok).collect();
    files.sort();
    let too_many = files.len().saturating_sub(KEPT.saturating_sub(1));
    for (_, file) in files.drain(..too_many) {
        // Another command may have removed it first.
        let _ = fs::remove_file::<PathBuf>(file);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_key_stays_and_is_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(FOLDER);
        let first = cached(&folder).unwrap();
        assert_eq!(cached(&folder).unwrap().cache_key, first.cache_key);
        assert_ne!(first.cache_key, [0; 32]);
        #[cfg(unix)]
        for (path, mode) in [("key", 0o600), ("native", 0o700), ("", 0o700)] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
        }
    }

    #[test]
    fn a_key_that_is_none_means_no_cache() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(FOLDER);
        private_folder(&folder).unwrap();
        fs::write(folder.join("key"), "short").unwrap();
        assert!(cached(&folder).is_err());
    }

    #[test]
    fn the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..12 {
            let file = fs::File::create(folder.path().join(number.to_string())).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(number)).unwrap();
        }
        make_room(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), KEPT - 1);
        assert!(folder.path().join("11").exists() && !folder.path().join("4").exists());
    }
}
