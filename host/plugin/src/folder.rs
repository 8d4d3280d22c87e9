//! The watched folder: which files are there, which have come to rest, which are gone.
//!
//! The folder is looked at again and again rather than watched by the system: it works on every file system, network
//! mounts and containers' volumes included, and costs some ten microseconds a look. A file is offered once it is the
//! same in two looks, so that one that is still being copied is left alone; one that is missing must be missing for a
//! second, so that `rm` and `cp` in a row are a replacement.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::trust::{read_signature, signature_path};

/// Between two looks, and before the next one where something new was seen.
const PACE: Duration = Duration::from_millis(200);
const SETTLING: Duration = Duration::from_millis(100);
/// Looks that a file must be missing in before it counts as taken out.
const LOOKS_GONE: u32 = 5;
/// Files that are looked at; a folder with more is not a plugins folder.
const MAX_FILES: usize = 4096;

/// A folder of components, and what was seen in it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    seen: BTreeMap<PathBuf, Sighting>,
}

/// A file as it was last seen.
#[derive(Debug)]
struct Sighting {
    stamp: Stamp,
    /// Whether it was offered as it is.
    offered: bool,
    /// Looks in a row that it was missing in.
    missing: u32,
}

/// What changes when a file or its signature does.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    file: Mark,
    signature: Option<Mark>,
}

/// Size, inode, and the time of the last change in seconds and nanoseconds.
type Mark = (u64, u64, i64, i64);

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Files to read, new or changed, relative to the folder.
    pub(crate) changed: Vec<PathBuf>,
    /// Files that were taken out, relative to the folder.
    pub(crate) gone: Vec<PathBuf>,
    /// What is wrong with the folder itself.
    pub(crate) problems: Vec<String>,
    /// Something new was seen that has not come to rest.
    unsettled: bool,
}

impl Look {
    /// How long to wait before the next one.
    pub(crate) fn pace(&self) -> Duration {
        if self.unsettled { SETTLING } else { PACE }
    }
}

/// A component of the folder and what signs it.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) bytes: Vec<u8>,
    pub(crate) signature: Option<String>,
}

impl Folder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Looks once. `at_once` offers what is new without waiting for it to come to rest. Blocks.
    pub(crate) fn look(&mut self, at_once: bool) -> Look {
        let mut look = Look::default();
        let listing = Listing::of(&self.root);
        for (path, stamp) in &listing.files {
            let known = self.seen.get(path).filter(|sighting| sighting.stamp == *stamp);
            let rests = known.is_some() || at_once;
            let offered = known.is_some_and(|sighting| sighting.offered);
            if rests && !offered {
                look.changed.push(path.clone());
            }
            look.unsettled |= !rests;
            let sighting = Sighting { stamp: stamp.clone(), offered: offered || rests, missing: 0 };
            self.seen.insert(path.clone(), sighting);
        }
        self.seen.retain(|path, sighting| {
            if listing.files.contains_key(path) || listing.unread.iter().any(|folder| path.starts_with(folder)) {
                return true;
            }
            sighting.missing += 1;
            let gone = sighting.missing >= LOOKS_GONE;
            if gone {
                look.gone.push(path.clone());
            }
            !gone
        });
        look.problems = listing.problems;
        look
    }

    /// Offers a file again at the next look.
    pub(crate) fn forget(&mut self, path: &Path) {
        if let Some(sighting) = self.seen.get_mut(path) {
            sighting.offered = false;
        }
    }

    /// Whether a file is there, or was a moment ago.
    pub(crate) fn has_seen(&self, path: &Path) -> bool {
        self.seen.contains_key(path)
    }

    /// Reads a file that [`Self::look`] named. None where it changed meanwhile: it will be named again. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(&mut self, path: &Path, limit: usize) -> io::Result<Option<Contents>> {
        let full = self.root.join(path);
        if leads_out(&self.root, &full) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is a link that leads out of the folder"));
        }
        let bytes = read(&full, limit)?;
        let signature = read_signature(&full)?;
        let now = stamp(&full).ok();
        if let Some(sighting) = self.seen.get_mut(path)
            && now.as_ref() != Some(&sighting.stamp)
        {
            sighting.offered = false;
            return Ok(None);
        }
        Ok(Some(Contents { bytes, signature }))
    }
}

/// What lies in a folder at one moment.
#[derive(Default)]
struct Listing {
    files: BTreeMap<PathBuf, Stamp>,
    /// Folders that could not be read, so that nothing is known of what lies in them.
    unread: Vec<PathBuf>,
    problems: Vec<String>,
}

impl Listing {
    fn of(root: &Path) -> Self {
        let mut listing = Self::default();
        let folders = match listing.add(root, Path::new("")) {
            Ok(folders) => folders,
            Err(error) => {
                listing.unread.push(PathBuf::new());
                listing.problems.push(format!(
                    "the plugins folder {} cannot be read: {error}; make it, or configure another",
                    root.display()
                ));
                return listing;
            }
        };
        for folder in folders {
            if let Err(error) = listing.add(root, &folder) {
                listing.problems.push(format!("{} cannot be read: {error}", root.join(&folder).display()));
                listing.unread.push(folder);
            }
        }
        let found = listing.files.len();
        if found > MAX_FILES {
            listing
                .problems
                .push(format!("{} holds {found} components; the first {MAX_FILES} are looked at", root.display()));
            if let Some(first_left) = listing.files.keys().nth(MAX_FILES).cloned() {
                listing.files.split_off(&first_left);
            }
        }
        listing
    }

    /// Adds the components of one folder, and answers the folders in it. Hidden files are left alone: they are what is
    /// still being written.
    fn add(&mut self, root: &Path, below: &Path) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(root.join(below))? {
            let name = entry?.file_name();
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            let (path, full) = (below.join(&name), root.join(below).join(&name));
            // Follows links within the folder. What cannot be looked at is listed, so that its reading says why.
            match fs::metadata(&full) {
                Ok(_) if leads_out(root, &full) => self.problems.push(format!(
                    "{} is a link that leads out of the plugins folder, and is not followed; copy the file into the folder",
                    full.display()
                )),
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) if !metadata.is_file() => {}
                _ if full.extension().is_some_and(|extension| extension == "wasm") => {
                    let stamp = stamp(&full).unwrap_or(Stamp { file: (0, 0, 0, 0), signature: None });
                    self.files.insert(path, stamp);
                }
                _ => {}
            }
        }
        Ok(folders)
    }
}

/// Whether a link leads out of a folder. Links within it are how Kubernetes mounts a ConfigMap.
fn leads_out(root: &Path, path: &Path) -> bool {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    is_link
        && match (fs::canonicalize(root), fs::canonicalize(path)) {
            (Ok(root), Ok(target)) => !target.starts_with(root),
            _ => true,
        }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let mark = |metadata: Metadata| (metadata.len(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    Ok(Stamp { file: mark(fs::metadata(path)?), signature: fs::metadata(signature_path(path)).ok().map(mark) })
}

/// Reads one byte more than is allowed at most: enough to see that it is too large.
fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn a_file_is_offered_once_when_it_has_come_to_rest() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(root.path().to_owned());
        fs::write(root.path().join("a.wasm"), "half").unwrap();
        let just_seen = folder.look(false);
        assert!(just_seen.changed.is_empty() && just_seen.pace() == SETTLING);
        fs::write(root.path().join("a.wasm"), "half and half").unwrap();
        assert!(folder.look(false).changed.is_empty(), "still being written");
        assert_eq!(names(&folder.look(false).changed), ["a.wasm"]);
        let again = folder.look(false);
        assert!(again.changed.is_empty() && again.pace() == PACE, "offered already");
        fs::write(root.path().join("a.wasm.sig"), "{}").unwrap();
        folder.look(false);
        assert_eq!(names(&folder.look(false).changed), ["a.wasm"], "its signature changed");
    }

    #[test]
    fn a_link_is_followed_within_the_folder_and_not_out_of_it() {
        let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, root.path().join(name)).unwrap();
        fs::write(elsewhere.path().join("secret.wasm"), "another's").unwrap();
        fs::create_dir(root.path().join(".data")).unwrap();
        fs::write(root.path().join(".data/a.wasm"), "ours").unwrap();
        link(&elsewhere.path().join("secret.wasm"), "out.wasm");
        link(elsewhere.path(), "folder");
        link(Path::new(".data/a.wasm"), "a.wasm");
        let mut folder = Folder::new(root.path().to_owned());
        let look = folder.look(true);
        assert_eq!(names(&look.changed), ["a.wasm"]);
        assert_eq!(look.problems.len(), 2, "{:?}", look.problems);
        assert!(look.problems.iter().any(|problem| problem.contains("out.wasm")), "{:?}", look.problems);
        // Replaced between the look and the reading.
        fs::remove_file(root.path().join("a.wasm")).unwrap();
        link(&elsewhere.path().join("secret.wasm"), "a.wasm");
        assert!(folder.read(Path::new("a.wasm"), 100).is_err());
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_offered_again() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(root.path().to_owned());
        fs::write(root.path().join("a.wasm"), "one").unwrap();
        assert_eq!(names(&folder.look(true).changed), ["a.wasm"]);
        fs::write(root.path().join("a.wasm"), "another").unwrap();
        assert!(folder.read(Path::new("a.wasm"), 100).unwrap().is_none());
        folder.look(false);
        assert_eq!(names(&folder.look(false).changed), ["a.wasm"]);
        assert_eq!(folder.read(Path::new("a.wasm"), 100).unwrap().unwrap().bytes, b"another");
    }

    #[test]
    fn gone_is_what_stays_away() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(root.path().to_owned());
        fs::write(root.path().join("a.wasm"), "a").unwrap();
        folder.look(true);
        fs::remove_file(root.path().join("a.wasm")).unwrap();
        for _ in 1..LOOKS_GONE {
            assert!(folder.look(false).gone.is_empty());
        }
        assert_eq!(names(&folder.look(false).gone), ["a.wasm"]);
        assert!(folder.look(false).gone.is_empty(), "said once");
    }

    #[test]
    fn nothing_is_gone_while_the_folder_cannot_be_read() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("plugins");
        fs::create_dir_all(root.join("more")).unwrap();
        fs::write(root.join("more/a.wasm"), "a").unwrap();
        let mut folder = Folder::new(root.clone());
        assert_eq!(names(&folder.look(true).changed), ["more/a.wasm"]);
        fs::rename(&root, parent.path().join("elsewhere")).unwrap();
        for _ in 0..2 * LOOKS_GONE {
            let look = folder.look(false);
            assert!(look.gone.is_empty() && !look.problems.is_empty());
        }
        assert!(folder.has_seen(Path::new("more/a.wasm")));
    }

    #[test]
    fn hidden_files_and_other_files_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        for name in [".a.wasm", "notes.txt", "a.wasm.part"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        assert!(Folder::new(root.path().to_owned()).look(true).changed.is_empty());
    }
}
