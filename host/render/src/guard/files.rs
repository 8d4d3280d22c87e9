//! The files of a plan.

use std::collections::{BTreeMap, BTreeSet};

use convergence_model::plan::File;

use super::report::{Report, excerpt};
use super::{FILE_BYTES_MAX, FILES_BYTES_MAX, FILES_MAX, path};

pub(super) fn check(files: &[File], report: &mut Report) {
    if files.len() > FILES_MAX {
        report.deny("plan.files", "too-many", format!("at most {FILES_MAX} files are allowed, not {}", files.len()));
    }
    let total = files.iter().fold(0_usize, |sum, file| sum.saturating_add(file.contents.0.len()));
    if total > FILES_BYTES_MAX {
        report.deny(
            "plan.files",
            "too-large",
            format!("the files have {total} bytes in all; at most {FILES_BYTES_MAX} are allowed"),
        );
    }
    // Case is ignored, since a file system that ignores it would let one file take the place of another.
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut folders: BTreeSet<String> = BTreeSet::new();
    for (index, file) in files.iter().take(FILES_MAX).enumerate() {
        let field = format!("plan.files[{index}]");
        let size = file.contents.0.len();
        if size > FILE_BYTES_MAX {
            report.deny(
                format!("{field}.contents"),
                "too-large",
                format!("the file has {size} bytes; at most {FILE_BYTES_MAX} are allowed"),
            );
        }
        let rule = path::of_plan(&file.path);
        let good = rule.is_ok();
        report.rule(&format!("{field}.path"), rule);
        if !good {
            continue;
        }
        let folded = file.path.to_ascii_lowercase();
        let parents: Vec<String> =
            folded.match_indices('/').filter_map(|(at, _)| folded.get(..at)).map(str::to_owned).collect();
        if let Some(first) = seen.get(&folded) {
            report.deny(
                format!("{field}.path"),
                "duplicate",
                format!("the path {} is that of plan.files[{first}], case ignored", excerpt(&file.path)),
            );
        } else if folders.contains(&folded) || parents.iter().any(|parent| seen.contains_key(parent)) {
            report.deny(
                format!("{field}.path"),
                "file-and-folder",
                format!("the path {} makes one name both a file and a folder", excerpt(&file.path)),
            );
        }
        folders.extend(parents);
        seen.insert(folded, index);
    }
}

/// Whether a plan path names a file, or a folder that holds one.
pub(super) fn exists(files: &[File], wanted: &str) -> bool {
    files.iter().any(|file| file.path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}
