//! Native code of earlier runs, on disk.
//!
//! Native code is run as it is, so a file here is believed only if it carries our own authentication code over its
//! contents, the component it was compiled from and the engine it was compiled for. Anything else is compiled anew
//! and written over.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::SandboxError;

const MAGIC: &[u8; 16] = b"convergence-aot1";
/// Bytes of the largest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 30;
const TAG_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + TAG_BYTES;

/// A folder of native code.
pub(crate) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    engine: [u8; 32],
}

/// What was found for a component.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Code we wrote, after the header.
    Code(Vec<u8>),
    /// Nothing.
    Nothing,
    /// A file that is not ours, or no longer whole, or cannot be read; why.
    Unusable(String),
}

impl Cache {
    /// Opens the folder, making it where missing.
    pub(crate) fn open(folder: PathBuf, key: [u8; 32], engine: [u8; 32]) -> Result<Self, SandboxError> {
        let open = || -> io::Result<()> {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&folder)?;
            // Found out now, not when the first plugin is dropped in.
            tempfile::Builder::new().prefix(".probe-").tempfile_in(&folder).map(drop)
        };
        match open() {
            Ok(()) => Ok(Self { folder, key, engine }),
            Err(source) => Err(SandboxError::Cache { path: folder, source }),
        }
    }

    /// Looks for the native code of the component with this digest.
    pub(crate) fn read(&self, component: &[u8; 32]) -> Found {
        let path = self.path(component);
        // Looked at first: opening a pipe would wait for its writer.
        let file = match fs::symlink_metadata(&path) {
            Ok(about) if !about.is_file() => return Found::Unusable("it is not a file".to_owned()),
            Ok(about) if about.len() > MAX_FILE_BYTES => {
                return Found::Unusable(format!("it has {} bytes, more than any code of ours", about.len()));
            }
            Ok(_) => fs::read(&path),
            Err(error) => Err(error),
        };
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
            Err(error) => return Found::Unusable(error.to_string()),
        };
        let Some((tag, code)) = file.strip_prefix(MAGIC.as_slice()).and_then(|rest| rest.split_at_checked(TAG_BYTES))
        else {
            return Found::Unusable("it is not a file of this cache".to_owned());
        };
        // Compared in constant time.
        if self.mac(component, code).is_some_and(|mac| mac.verify_slice(tag).is_ok()) {
            let mut file = file;
            file.drain(..HEADER_BYTES);
            Found::Code(file)
        } else {
            Found::Unusable("its authentication code is wrong: it was damaged, or written by someone else".to_owned())
        }
    }

    /// Keeps native code, replacing what was there at once or not at all.
    pub(crate) fn write(&self, component: &[u8; 32], code: &[u8]) -> io::Result<()> {
        let mac = self.mac(component, code).ok_or_else(|| io::Error::other("no authentication code"))?;
        let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(&self.folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&mac.finalize().into_bytes())?;
        file.write_all(code)?;
        file.persist(self.path(component)).map_err(|error| error.error)?;
        self.remove_older(component);
        Ok(())
    }

    /// Removes what other engines compiled from the same component: after an update nobody asks for it again.
    fn remove_older(&self, component: &[u8; 32]) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let (prefix, current) = (HEXLOWER.encode(component), self.path(component));
        for entry in entries.flatten() {
            let path = entry.path();
            if path != current && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Where the code of a component is.
    pub(crate) fn path(&self, component: &[u8; 32]) -> PathBuf {
        let engine = self.engine.first_chunk::<8>().map(|start| HEXLOWER.encode(start)).unwrap_or_default();
        self.folder.join(format!("{}-{engine}.aot", HEXLOWER.encode(component)))
    }

    fn mac(&self, component: &[u8; 32], code: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length; the error is for algorithms that do not.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(MAGIC);
        mac.update(&self.engine);
        mac.update(component);
        mac.update(code);
        Some(mac)
    }

    /// The folder, for messages.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn cache(folder: &Path, key: u8, engine: u8) -> Cache {
        Cache::open(folder.to_owned(), [key; 32], [engine; 32]).unwrap()
    }

    #[test]
    fn only_what_this_key_wrote_for_this_engine_and_component_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let ours = cache(folder.path(), 1, 1);
        assert_eq!(ours.read(&[7; 32]), Found::Nothing);
        ours.write(&[7; 32], b"code").unwrap();
        assert_eq!(ours.read(&[7; 32]), Found::Code(b"code".to_vec()));
        assert!(matches!(cache(folder.path(), 2, 1).read(&[7; 32]), Found::Unusable(_)), "another key");
        assert_eq!(cache(folder.path(), 1, 2).read(&[7; 32]), Found::Nothing, "another engine");
        // The code of one component passed off as another's.
        fs::copy(ours.path(&[7; 32]), ours.path(&[8; 32])).unwrap();
        assert!(matches!(ours.read(&[8; 32]), Found::Unusable(_)), "another component");
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1, 1);
        cache.write(&[7; 32], b"native code").unwrap();
        let path = cache.path(&[7; 32]);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(cache.read(&[7; 32]), Found::Unusable(_)), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(cache.read(&[7; 32]), Found::Unusable(_)), "cut at {at}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_or_far_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path(), 1, 1);
        let path = cache.path(&[7; 32]);
        fs::create_dir(&path).unwrap();
        assert!(matches!(cache.read(&[7; 32]), Found::Unusable(_)), "a folder");
        fs::remove_dir(&path).unwrap();
        // Where every read is endless.
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(matches!(cache.read(&[7; 32]), Found::Unusable(_)), "a link");
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(matches!(cache.read(&[7; 32]), Found::Unusable(_)), "a sparse file");
        cache.write(&[7; 32], b"code").unwrap();
        assert_eq!(cache.read(&[7; 32]), Found::Code(b"code".to_vec()), "written over");
    }

    #[cfg(unix)]
    #[test]
    fn files_and_folder_are_readable_by_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("aot");
        let cache = cache(&folder, 1, 1);
        cache.write(&[7; 32], b"code").unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(cache.path(&[7; 32])).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn code_of_an_older_engine_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (cache(folder.path(), 1, 1), cache(folder.path(), 1, 2));
        old.write(&[7; 32], b"old").unwrap();
        new.write(&[7; 32], b"new").unwrap();
        assert_eq!(old.read(&[7; 32]), Found::Nothing);
        assert_eq!(new.read(&[7; 32]), Found::Code(b"new".to_vec()));
    }
}
