//! What need not be built again. A component that a scripting language's toolchain makes differs from build to build even
//! where nothing changed, and takes seconds; so the one that is there is kept until something it was made of changes.

use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::{BuildError, read, write};
use crate::project::{BUILD_FOLDER, Project};

/// What a component is not made of, by the names of folders.
const OTHERS: [&str; 6] = [BUILD_FOLDER, "cases", "node_modules", ".venv", ".git", "__pycache__"];

/// Bytes of a project's own files; more is a mistake, such as a virtual environment of another name.
const MAX_BYTES: usize = 64 << 20;

/// The component that is there, if it was made of what the project holds now by `tool`, which is the toolchain's name
/// and version with whatever else the result depends on; else a new one from `build`.
///
/// # Errors
///
/// Those of `build`; or the project cannot be read.
pub(super) fn or(
    project: &Project,
    tool: &str,
    build: impl FnOnce() -> Result<Vec<u8>, BuildError>,
) -> Result<Vec<u8>, BuildError> {
    let record = project.build_folder().join(project.name()).with_extension("made-of");
    let inputs = inputs(project, tool)?;
    if let (Ok(known), Ok(component)) = (fs::read_to_string(&record), fs::read(project.component()))
        && known == line(&inputs, &component)
    {
        return Ok(component);
    }
    let component = build()?;
    write(&record, line(&inputs, &component).as_bytes())?;
    Ok(component)
}

fn line(inputs: &str, component: &[u8]) -> String {
    format!("{inputs} {}\n", HEXLOWER.encode(&Sha256::digest(component)))
}

/// A digest over the project's files and what is done with them.
fn inputs(project: &Project, tool: &str) -> Result<String, BuildError> {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    };
    part(tool.as_bytes());
    let mut files = Vec::new();
    collect(project.folder(), &mut files)?;
    files.sort();
    let mut bytes = 0_usize;
    for file in files {
        let contents = read(&project.folder().join(&file))?;
        bytes = bytes.saturating_add(contents.len());
        if bytes > MAX_BYTES {
            return Err(BuildError::Project(format!(
                "the project's own files are more than {} MiB; keep what was built or installed in one of: {}",
                MAX_BYTES >> 20,
                OTHERS.join(", ")
            )));
        }
        part(file.as_bytes());
        part(&contents);
    }
    Ok(HEXLOWER.encode(&digest.finalize()))
}

/// The paths of all files below `folder`.
fn collect(folder: &Path, files: &mut Vec<String>) -> Result<(), BuildError> {
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let unreadable = |source| BuildError::Files { verb: "read", path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_file() {
                files.push(format!("{prefix}{name}"));
            } else if kind.is_dir() && !OTHERS.contains(&name.as_str()) {
                folders.push((entry.path(), format!("{prefix}{name}/")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

    use convergence_sandbox::Kind;

    use super::*;
    use crate::project::Language;

    #[test]
    fn a_component_is_kept_until_what_it_was_made_of_changes() {
        let folder = tempfile::tempdir().unwrap();
        let project = crate::new(Kind::Policy, Language::Python, "kept", folder.path()).unwrap();
        let mut built = 0_u8;
        let mut build = |tool: &str| {
            let bytes = or(&project, tool, || {
                built += 1;
                Ok(vec![built])
            })
            .unwrap();
            write(&project.component(), &bytes).unwrap();
            bytes[0]
        };
        assert_eq!([build("tool 1"), build("tool 1"), build("tool 2")], [1, 1, 2]);
        write(&folder.path().join("node_modules/x/index.js"), b"").unwrap();
        assert_eq!(build("tool 2"), 2);
        write(&folder.path().join("src/more.py"), b"").unwrap();
        assert_eq!(build("tool 2"), 3);
        // An author who overwrites the component gets one that is made of the sources again.
        write(&project.component(), b"other").unwrap();
        assert_eq!(build("tool 2"), 4);
    }
}
