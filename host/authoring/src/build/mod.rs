//! Building a project: one file a language.

mod c;
mod contract;
mod javascript;
mod python;
mod rust;
mod tool;
mod typescript;
mod unchanged;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wit_component::ComponentEncoder;

use crate::embedded;
use crate::project::{Language, Project};

/// Why a project could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program or a part of a toolchain is not on this machine.
    #[error("{what} is missing; install it:\n  {install}")]
    MissingTool {
        /// What, for a person.
        what: String,
        /// The command that installs it; each line is one, and any of them will do.
        install: String,
    },
    /// A tool ran and said what is wrong, which the author has seen.
    #[error("`{command}` ended with {status}; what it said is above")]
    ToolFailed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
    },
    /// A tool could not be run, or gave no sensible answer.
    #[error("`{command}`: {reason}")]
    Tool {
        /// What was run.
        command: String,
        /// What went wrong.
        reason: String,
    },
    /// The project lacks something.
    #[error("{0}")]
    Project(String),
    /// The disk would not have it.
    #[error("cannot {verb} {}: {source}", path.display())]
    Files {
        /// `read`, `write`, `remove`.
        verb: &'static str,
        /// What.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the toolchain made does not fit the contract.
    #[error("what was built is no component of its world: {0}")]
    NotAComponent(String),
}

/// Builds a project with its language's toolchain, whose messages go to standard error, and returns where the component
/// is. A component that comes out as it was keeps its file, so that a program that watches it sees no change.
///
/// # Errors
///
/// A tool is missing, with how to get it; or it failed; or what it made is no component.
pub fn build(project: &Project) -> Result<PathBuf, BuildError> {
    let bytes = match project.language() {
        Language::Rust => rust::build(project)?,
        Language::C => c::build(project)?,
        Language::JavaScript => javascript::build(project)?,
        Language::Python => python::build(project)?,
    };
    let component = project.component();
    if !fs::read(&component).is_ok_and(|old| old == bytes) {
        // Written beside and renamed: a reader of the folder never sees half a component.
        let fresh = component.with_extension("wasm.new");
        write(&fresh, &bytes)?;
        fs::rename(&fresh, &component).map_err(|source| BuildError::Files {
            verb: "write",
            path: component.clone(),
            source,
        })?;
    }
    Ok(component)
}

/// Wraps a core module, which carries its world in a custom section, as a component.
fn encode(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encoder = ComponentEncoder::default();
    let encoded = encoder.validate(true).module(module).and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| BuildError::NotAComponent(format!("{error:#}")))
}

/// Where the contract is: the project's `wit/`, one folder a package. A project without one is built against the contract
/// of this binary.
fn contract(project: &Project) -> Result<PathBuf, BuildError> {
    own_or_embedded(project, "wit", "wit/")
}

/// The folder `name` of the project or, where it has none, what the binary carries below `prefix`, written out.
fn own_or_embedded(project: &Project, name: &str, prefix: &str) -> Result<PathBuf, BuildError> {
    let own = project.folder().join(name);
    if own.is_dir() {
        return Ok(own);
    }
    let folder = project.build_folder().join(name);
    for (path, contents) in embedded::below(prefix) {
        write(&folder.join(path), contents)?;
    }
    Ok(folder)
}

/// Writes a file, and the folders above it.
fn write(path: &Path, contents: &[u8]) -> Result<(), BuildError> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, contents));
    written.map_err(|source| BuildError::Files { verb: "write", path: path.to_owned(), source })
}

/// Removes a folder, if it is there.
fn remove(path: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(BuildError::Files { verb: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Reads a file.
fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(|source| BuildError::Files { verb: "read", path: path.to_owned(), source })
}

/// Reads a file and removes it.
fn take(path: &Path) -> Result<Vec<u8>, BuildError> {
    let bytes = read(path)?;
    fs::remove_file(path).map_err(|source| BuildError::Files { verb: "remove", path: path.to_owned(), source })?;
    Ok(bytes)
}
