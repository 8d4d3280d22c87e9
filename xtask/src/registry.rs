//! The registry that tests publish to: Debian's `docker-registry`, unpacked for this repository alone. Installed it would
//! also run, open to the network, from then on.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{apt, command};

const PROGRAM: &str = "docker-registry";

/// Makes sure there is one, and says where.
pub(crate) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    if let Some(installed) = command::find(PROGRAM) {
        return Ok(installed);
    }
    let folder = workspace.state().join(PROGRAM);
    let program = folder.join("usr/bin").join(PROGRAM);
    if !program.is_file() {
        apt::unpack(PROGRAM, &folder, "a registry, to test plugins from registries with,")?;
    }
    if !program.is_file() {
        bail!("the package {PROGRAM} is unpacked and {} is not there", program.display());
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_registry_is_fetched_and_runs() {
        let workspace = Workspace::find().unwrap();
        let program = ensure(&workspace).unwrap();
        let version = command::capture(Command::new(program).arg("--version")).unwrap();
        assert!(version.contains("distribution"), "{version}");
    }
}
