//! Example plugins that are projects of `convergence plugin`: built as their author builds them, by the product's own
//! binary. This crate does not depend on the authoring room, because compiling the chores is a newcomer's first wait.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{apt, command, scripting};

/// Installs what the languages of the examples need, and what shows their plugins another time of day.
pub(crate) fn ensure_tools(workspace: &Workspace) -> Result<()> {
    apt::ensure("faketime", &["faketime"], "faketime, to replay calls of plugins a year later,")?;
    apt::ensure("clang", &["clang"], "clang, to compile plugins written in C with,")?;
    apt::ensure("wasm-ld", &["lld"], "wasm-ld, to link plugins written in C with,")?;
    scripting::ensure(workspace)
}

/// Builds the binary with the features that the tests build it with, so that nothing compiles twice.
pub(crate) fn build_binary(workspace: &Workspace) -> Result<()> {
    command::run(workspace.cargo().args(["build", "--workspace", "--bin", "convergence", "--test", "suite"]))
}

/// Where the binary of the tests is.
pub(crate) fn binary(workspace: &Workspace) -> PathBuf {
    workspace.target().join("debug").join("convergence")
}

/// Builds every project under `plugins/examples/` with a binary of the product: `plugins/examples/c/name-rules` becomes
/// `target/components/examples/c/name-rules.wasm`. Returns where the components are.
pub(crate) fn build(workspace: &Workspace, binary: &Path) -> Result<Vec<PathBuf>> {
    let plugins = workspace.root().join("plugins");
    let variables = scripting::variables(workspace)?;
    let mut components = Vec::new();
    for folder in projects(&plugins.join("examples"))? {
        let name = folder.file_name().map(PathBuf::from).unwrap_or_default();
        let place = folder.strip_prefix(&plugins).unwrap_or(&folder);
        let component = workspace.components().join(place).with_extension("wasm");
        command::run(Command::new(binary).args(["plugin", "build"]).arg(&folder).envs(variables.clone()))?;
        copy(&folder.join("build").join(name).with_extension("wasm"), &component)?;
        components.push(component);
    }
    Ok(components)
}

/// The folders with a `plugin.toml` among `examples/<language>/<name>`, in order.
fn projects(examples: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for language in folders(examples)? {
        found.extend(folders(&language)?.into_iter().filter(|folder| folder.join("plugin.toml").is_file()));
    }
    found.sort();
    Ok(found)
}

fn folders(place: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(place).with_context(|| format!("cannot list {}", place.display()))?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

/// Copies a component beside its place and renames it; an unchanged one is left alone.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        command::create_folder(folder)?;
    }
    let fresh = to.with_extension("wasm.new");
    fs::write(&fresh, bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, to).with_context(|| format!("cannot write {}", to.display()))
}
