//! The contract as files, laid out as the toolchains of other languages expect it: one package with its dependencies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use convergence_sandbox::Kind;

use crate::embedded;

/// Packages that the contract of every kind uses.
const DEPENDENCIES: [&str; 2] = ["host", "plugin"];

/// Why the contract was not written. Nothing of it is written then, unless the disk failed half way.
#[derive(Debug, thiserror::Error)]
pub enum WitError {
    /// Files with other contents are there.
    #[error(
        "{} {} there with other contents: choose another folder, or overwrite with --force",
        .0.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", "),
        if .0.len() == 1 { "is" } else { "are" }
    )]
    Differs(Vec<PathBuf>),
    /// The disk would not have it.
    #[error("cannot write {}: {source}", file.display())]
    Unwritable {
        /// What was to be written.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Writes the contract of a kind into a folder: `<kind>.wit`, and the packages it uses below `deps/`. A file that is there
/// with the same contents is left alone. Answers the files.
///
/// # Errors
/// Other files are there and `force` is not given, or the folder cannot be written.
pub fn write_contract(kind: Kind, folder: &Path, force: bool) -> Result<Vec<PathBuf>, WitError> {
    let own = embedded::below(&format!("wit/{kind}/")).into_iter().map(|(path, text)| (folder.join(path), text));
    let dependencies = DEPENDENCIES.into_iter().flat_map(|package| {
        let files = embedded::below(&format!("wit/{package}/"));
        files.into_iter().map(move |(path, text)| (folder.join("deps").join(package).join(path), text))
    });
    let files: Vec<_> = own.chain(dependencies).collect();
    let differs = |file: &Path, text: &[u8]| fs::read(file).is_ok_and(|there| there != text);
    let differing: Vec<_> =
        files.iter().filter(|(file, text)| differs(file, text)).map(|(file, _)| file.clone()).collect();
    if !differing.is_empty() && !force {
        return Err(WitError::Differs(differing));
    }
    for (file, text) in &files {
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, text));
        written.map_err(|source| WitError::Unwritable { file: file.clone(), source })?;
    }
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use wit_bindgen_core::wit_parser::Resolve;

    use super::*;
    use crate::project::KINDS;

    #[test]
    fn what_is_written_is_a_package_that_toolchains_can_read() {
        for (kind, world) in KINDS.into_iter().zip(["language-template", "validation-policy", "billing-policy"]) {
            let folder = tempfile::tempdir().unwrap();
            let files = write_contract(kind, folder.path(), false).unwrap();
            assert_eq!(files.len(), 3, "{files:?}");
            let mut resolve = Resolve::default();
            let (package, _) = resolve.push_dir(folder.path()).unwrap();
            resolve.select_world(&[package], Some(world)).unwrap();
        }
    }

    #[test]
    fn files_of_somebody_else_stay() {
        let folder = tempfile::tempdir().unwrap();
        write_contract(Kind::Policy, folder.path(), false).unwrap();
        write_contract(Kind::Policy, folder.path(), false).expect("the same files are there");
        let file = folder.path().join("policy.wit");
        fs::write(&file, "package example:other;").unwrap();
        let refused = write_contract(Kind::Policy, folder.path(), false).unwrap_err().to_string();
        assert!(refused.contains("policy.wit is there with other contents"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "package example:other;");
        write_contract(Kind::Policy, folder.path(), true).unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("validation-policy"));
    }
}
