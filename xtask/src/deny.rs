//! Licences, advisories, bans and sources of every dependency, judged by cargo-deny and `deny.toml`.

use anyhow::Result;

use crate::command;
use crate::workspace::Workspace;

/// Whether cargo-deny is installed. `cargo xtask test` checks only then: compiling it takes minutes.
pub(crate) fn is_installed() -> bool {
    let home = std::env::home_dir().map(|home| home.join(".cargo/bin/cargo-deny"));
    command::find("cargo-deny").is_some() || home.is_some_and(|file| file.is_file())
}

/// The chore: installs cargo-deny if need be, then checks.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    if !is_installed() {
        println!("    cargo-deny is not here: compiling it, which takes some minutes");
        command::run(workspace.cargo().args(["install", "cargo-deny", "--locked"]))?;
    }
    command::run(workspace.cargo().args(["deny", "check"]))
}

/// Checks what depends on this repository alone. Advisories appear from one day to the next and need the network, so they
/// are the chore's and never fail a test run.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    command::run(workspace.cargo().args(["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))
}
