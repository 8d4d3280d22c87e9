//! `cargo xtask chaos`: a release server under load on real containers, killed as often as is asked.

use anyhow::Result;
use clap::Args;

use crate::guests::Which;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{command, engine, guests, images, test, up};

/// What the person asked of `cargo xtask chaos`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the server is killed.
    #[arg(long, default_value_t = 500)]
    kills: u64,
    /// What decides who asks for what, and how long each server lives.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The chore.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut steps = Steps::new();
    steps.run("container engine", || engine::ensure(workspace))?;
    steps.run("base images", || images::ensure(workspace).map(drop))?;
    steps.run("components", || guests::build(workspace, Which::Product))?;
    let server = steps.run("server, in release", || up::build_server(workspace, &["--features", "rehearsal"]))?;
    steps.run("cargo-nextest", || test::nextest_is_here(workspace))?;
    steps.run("chaos", || {
        let mut command = workspace.cargo();
        // Of the whole workspace, as the tests are built: alone, the suite would compile with features of its own.
        command.args(["nextest", "run", "--workspace", "--profile", "chaos", "--no-capture"]);
        command.args([
            "--filterset",
            "test(=chaos::a_server_that_is_killed_again_and_again_loses_and_doubles_nothing_docker_exclusive)",
        ]);
        command.env("CONVERGENCE_BIN", &server);
        command.env("CONVERGENCE_COMPONENTS", workspace.components());
        command.env("CONVERGENCE_IMAGES", images::mapping_file(workspace));
        command.env("CONVERGENCE_CHAOS_KILLS", options.kills.to_string());
        command.env("CONVERGENCE_CHAOS_SEED", options.seed.to_string());
        command::run(&mut command)
    })?;
    steps.summary();
    Ok(())
}
