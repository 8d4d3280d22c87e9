//! Making a project.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use convergence_sandbox::Kind;

use crate::project::{Language, Project, ProjectError, check_name, manifest};
use crate::{embedded, sdk};

/// Why no project was made.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// Nothing can be called that.
    #[error("{0}")]
    Name(String),
    /// Somebody's files are there.
    #[error("{} is there and not empty: choose another name, or another folder with --dir", .0.display())]
    NotEmpty(PathBuf),
    /// The disk would not have it.
    #[error("cannot write {}: {source}", file.display())]
    Unwritable {
        /// What was to be written.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// This binary carries no such scaffold.
    #[error("there is no scaffold of a {kind} in {}", language.title())]
    NoScaffold {
        /// What it was to make.
        kind: Kind,
        /// What it was to be written in.
        language: Language,
    },
    /// What the binary carries is damaged.
    #[error("what this binary carries is damaged: {0}; install it again")]
    Damaged(String),
    /// What was written is no project.
    #[error(transparent)]
    Project(#[from] ProjectError),
}

/// Makes a project called `name` in `folder`, which is absent or empty, and all of it: the project builds with nothing
/// but the binary and the language's toolchain.
///
/// # Errors
///
/// The name is no slug, the folder holds something, or it cannot be written.
pub fn new(kind: Kind, language: Language, name: &str, folder: &Path) -> Result<Project, NewError> {
    check_name(name).map_err(NewError::Name)?;
    let files = files(kind, language, name)?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(NewError::NotEmpty(folder.to_owned()));
    }
    for (path, contents) in files {
        let file = folder.join(path);
        let written = file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&file, contents));
        written.map_err(|source| NewError::Unwritable { file, source })?;
    }
    Ok(Project::open(folder)?)
}

/// Every file of a new project.
fn files(kind: Kind, language: Language, name: &str) -> Result<Vec<(String, Vec<u8>)>, NewError> {
    let scaffold = |part: &str| format!("scaffold/{}/{part}/", language.as_str());
    let own = embedded::below(&scaffold(kind.as_str()));
    if own.is_empty() {
        return Err(NewError::NoScaffold { kind, language });
    }
    let shared = embedded::below(&scaffold("shared"));
    let (manifest_name, manifest) = manifest(name, kind, language);
    let mut files = vec![(manifest_name.to_owned(), manifest.into_bytes())];
    files.extend(own.into_iter().chain(shared).map(|(path, contents)| (path.to_owned(), named(contents, name))));
    files.extend(contract(kind, language));
    if language == Language::Rust {
        files.extend(sdk::files().map_err(NewError::Damaged)?);
    }
    Ok(files)
}

/// The packages of the contract that the project's kind is about; the Rust SDK speaks of them all.
fn contract(kind: Kind, language: Language) -> impl Iterator<Item = (String, Vec<u8>)> {
    embedded::below("wit/")
        .into_iter()
        .filter(move |(path, _)| {
            let package = path.split('/').next().unwrap_or_default();
            language == Language::Rust || ["host", "plugin", kind.as_str()].contains(&package)
        })
        .map(|(path, contents)| (format!("wit/{path}"), contents.to_vec()))
}

/// Puts the project's name where a scaffold leaves room for it: `{{name}}` as it is, `{{ident}}` with `_` for `-`.
fn named(contents: &[u8], name: &str) -> Vec<u8> {
    match std::str::from_utf8(contents) {
        Ok(text) => text.replace("{{name}}", name).replace("{{ident}}", &name.replace('-', "_")).into_bytes(),
        Err(_) => contents.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_project_has_its_name_everywhere_and_the_contract_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/my-rules");
        let project = new(Kind::Policy, Language::Rust, "my-rules", &place).unwrap();
        assert_eq!(project.name(), "my-rules");
        let manifest = fs::read_to_string(place.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"my-rules\"") && !manifest.contains("{{"), "{manifest}");
        for file in ["plugin.toml", "src/lib.rs", "wit/policy/policy.wit", "sdk/src/lib.rs", "README.md", ".gitignore"]
        {
            assert!(place.join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn nobodys_files_are_written_over() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        let refused = new(Kind::Policy, Language::Rust, "x", folder.path());
        assert!(matches!(refused, Err(NewError::NotEmpty(_))));
        assert!(matches!(new(Kind::Policy, Language::Rust, "X", folder.path()), Err(NewError::Name(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_languages_get_the_packages_of_their_kind() {
        let packages: Vec<_> = contract(Kind::Policy, Language::C).map(|(path, _)| path).collect();
        assert_eq!(packages, ["wit/host/host.wit", "wit/plugin/plugin.wit", "wit/policy/policy.wit"]);
    }

    #[test]
    fn every_language_has_every_kind() {
        for (language, kind) in Language::ALL.into_iter().flat_map(|it| crate::KINDS.map(|kind| (it, kind))) {
            let files = files(kind, language, "x").unwrap_or_else(|error| panic!("{error}"));
            let has = |path: &str| files.iter().any(|(file, _)| file == path);
            assert!(has("README.md") && has(".gitignore") && has("plugin.toml"), "{kind} in {}", language.as_str());
            assert!(files.iter().filter(|(file, _)| file.starts_with("cases/")).count() >= 2);
        }
    }
}
