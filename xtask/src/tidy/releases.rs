//! Released WIT never changes: an author who built a component against it cannot learn that it did.
//!
//! A folder of WIT whose package is at 1.0.0 or above is listed in the `released.toml` beside it with the digest of its files,
//! from the commit that releases it on. Below 1.0.0 host and guest agree on the minor, and a folder may change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::Complaint;

/// Folders that hold folders of WIT, one a package.
const ROOTS: [&str; 2] = ["wit", "host/sandbox/tests/compat/wit"];
/// What is released, by folder.
const LIST: &str = "released.toml";

/// Complaints about what was released and is not as it was.
pub(super) fn check(root: &Path) -> Result<Vec<Complaint>> {
    let mut complaints = Vec::new();
    for folder in ROOTS {
        complaints.extend(check_root(&root.join(folder), folder)?);
    }
    Ok(complaints)
}

fn check_root(root: &Path, shown: &str) -> Result<Vec<Complaint>> {
    let list = root.join(LIST);
    let text = if list.exists() { fs::read_to_string(&list)? } else { String::new() };
    let mut released: BTreeMap<String, String> =
        toml::from_str(&text).with_context(|| format!("{} is no list of digests", list.display()))?;
    let mut complaints = Vec::new();
    let mut complain = |folder: &str, what: String| complaints.push(Complaint::new(format!("{shown}/{folder}"), what));
    for entry in fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))? {
        let folder = entry?.path();
        let Some(name) = folder.file_name().and_then(|name| name.to_str()).filter(|_| folder.is_dir()) else {
            continue;
        };
        let digest = digest(&folder)?;
        match (released.remove(name), is_released(&folder)?) {
            (Some(recorded), _) if recorded == digest => {}
            (Some(_), _) => complain(
                name,
                format!(
                    "is released, and its files have changed ({digest}): restore them, and put the change into a new version"
                ),
            ),
            (None, true) => complain(
                name,
                format!("is at 1.0.0 or above: record in {LIST} that it is released: \"{name}\" = \"{digest}\""),
            ),
            (None, false) => {}
        }
    }
    for name in released.keys() {
        complain(
            name,
            format!("is released according to {LIST}, and is gone: guests are built against it; restore it"),
        );
    }
    Ok(complaints)
}

/// Whether the package in a folder is at 1.0.0 or above.
fn is_released(folder: &Path) -> Result<bool> {
    for file in files(folder)? {
        let text = fs::read_to_string(folder.join(&file))?;
        let package = text.lines().find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'));
        if let Some((_, version)) = package.and_then(|package| package.rsplit_once('@')) {
            return Ok(!version.starts_with("0."));
        }
    }
    Ok(false)
}

/// Over names and contents of all files, in the order of their names.
fn digest(folder: &Path) -> Result<String> {
    let mut sha = Sha256::new();
    for name in files(folder)? {
        let contents = fs::read(folder.join(&name))?;
        sha.update(format!("{name}\0{}\0", contents.len()));
        sha.update(contents);
    }
    let hex: String = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}

fn files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
        let root = tempfile::tempdir()?;
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().context("it lies in a folder")?)?;
            fs::write(path, text)?;
        }
        Ok(root)
    }

    fn complaints(files: &[(&str, &str)]) -> Result<Vec<String>> {
        Ok(check_root(root(files)?.path(), "wit")?.iter().map(ToString::to_string).collect())
    }

    const RELEASED: (&str, &str) = ("host/host.wit", "package a:host@1.0.0;\n");

    #[test]
    fn what_is_released_is_recorded_and_stays_as_it_was() -> Result<()> {
        let [complaint] = complaints(&[RELEASED])?.try_into().expect("one complaint");
        assert!(complaint.contains("record in released.toml"), "{complaint}");
        let digest = digest(&root(&[RELEASED])?.path().join("host"))?;
        let list = format!("host = \"{digest}\"\n");
        assert!(complaints(&[RELEASED, ("released.toml", &list)])?.is_empty());
        let changed = ("host/host.wit", "package a:host@1.0.0;\n// one word more\n");
        assert!(complaints(&[changed, ("released.toml", &list)])?[0].contains("have changed"));
        let more = ("host/more.wit", "");
        assert!(complaints(&[RELEASED, more, ("released.toml", &list)])?[0].contains("have changed"));
        assert!(complaints(&[("released.toml", &list)])?[0].contains("gone"));
        Ok(())
    }

    #[test]
    fn what_is_not_released_may_change() -> Result<()> {
        assert!(complaints(&[("host/host.wit", "package a:host@0.9.0;\n")])?.is_empty());
        Ok(())
    }
}
