//! `cargo xtask up`: from a fresh clone to a tenant that answers.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow};
use clap::Args;

use crate::guests::Which;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{command, engine, guests, images, settings};

/// What the person asked of `cargo xtask up`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The port of 127.0.0.1 that the server listens on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// The chore. Once everything is there it becomes `convergence up`, which runs the server, spawns the first tenant and
/// stays in front: signals reach the server itself, and nothing stands between it and the terminal.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    steps.run("container engine", || engine::ensure(workspace))?;
    steps.run("base images", || images::ensure(workspace).map(drop))?;
    steps.run("plugins, as WebAssembly components", || guests::build(workspace, Which::Product))?;
    let binary = steps.run("server, in release (the first build takes minutes)", || build_server(workspace, &[]))?;
    let settings = steps.run("configuration", || settings::prepare(workspace, options.port))?;
    steps.summary();

    let mut server = Command::new(&binary);
    server.arg("up").arg("--config").arg(&settings.file);
    println!("\n    $ {}\n", command::shown(&server));
    Err(anyhow!(server.exec()).context(format!("cannot start {}", binary.display())))
}

/// Builds the server in release and says where it is.
pub(crate) fn build_server(workspace: &Workspace, arguments: &[&str]) -> Result<PathBuf> {
    command::run(workspace.cargo().args(["build", "--release", "--package", "convergence"]).args(arguments))?;
    Ok(workspace.target().join("release").join("convergence"))
}
