//! Files of removed plugins, kept for a while in a hidden folder of the plugins folder, so that an operator can put one back.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::trust::signature_path;

/// Below the plugins folder. Hidden, so that it is not looked into.
const FOLDER: &str = ".removed";
/// How long a file is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Moves files of the plugins folder `root`, with their signatures, and answers where each component is now. A file that is
/// not there any more is left out. Files that were moved long ago are deleted.
///
/// # Errors
/// A file and what the system said of it.
pub(crate) fn keep(root: &Path, files: &[PathBuf], now: Timestamp) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let folder = root.join(FOLDER);
    let mut kept = Vec::new();
    for file in files {
        let place = place(&folder, root, file, now);
        let moved = fs::create_dir_all(&folder).and_then(|()| fs::rename(file, &place));
        match moved {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err((file.clone(), error)),
        }
        // One without a signature is the rule.
        fs::rename(signature_path(file), signature_path(&place)).ok();
        kept.push(place);
    }
    forget(&folder, now);
    Ok(kept)
}

/// `<seconds>-<name>`; the name of the folder it lay in comes before its own.
fn place(folder: &Path, root: &Path, file: &Path, now: Timestamp) -> PathBuf {
    let within = file.strip_prefix(root).unwrap_or(file);
    let parts: Vec<_> = within.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    folder.join(format!("{}-{}", now.as_second(), parts.join("-")))
}

/// Deletes what was moved long ago, as its name says. What cannot be deleted stays.
fn forget(folder: &Path, now: Timestamp) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let limit = now.as_second().saturating_sub(i64::try_from(KEPT.as_secs()).unwrap_or(i64::MAX));
    for entry in entries.flatten() {
        let name = entry.file_name();
        let moved_at = name.to_str().and_then(|name| name.split_once('-')?.0.parse::<i64>().ok());
        if moved_at.is_some_and(|at| at < limit) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_file_is_kept_with_its_signature_and_deleted_after_its_time() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("policies/a.wasm");
        fs::create_dir(root.path().join("policies")).unwrap();
        fs::write(&file, "component").unwrap();
        fs::write(signature_path(&file), "signature").unwrap();
        let then = Timestamp::from_second(1_000_000_000).unwrap();
        let missing = root.path().join("missing.wasm");
        let kept = keep(root.path(), &[file.clone(), missing], then).unwrap();
        assert_eq!(kept, [root.path().join(".removed/1000000000-policies-a.wasm")]);
        assert!(!file.exists() && fs::read_to_string(&kept[0]).unwrap() == "component");
        assert_eq!(fs::read_to_string(signature_path(&kept[0])).unwrap(), "signature");

        let soon = Timestamp::from_second(1_000_000_000 + 29 * 24 * 3600).unwrap();
        keep(root.path(), &[], soon).unwrap();
        assert!(kept[0].exists());
        let late = Timestamp::from_second(1_000_000_000 + 31 * 24 * 3600).unwrap();
        keep(root.path(), &[], late).unwrap();
        assert_eq!(fs::read_dir(root.path().join(".removed")).unwrap().count(), 0);
    }
}
