//! `cargo xtask test`: every check and every test, real containers included. This is what CI runs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cluster::Cluster;
use crate::guests::Which;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{
    apt, authoring, command, contract, deny, engine, guests, images, leftovers, registry, scripting, slowest, tidy,
    toolchains,
};

/// What differs between databases, and so runs a second time: statements, transactions, locks and leases, and of the tests of
/// the whole product those that end, restart or refuse a server. What a container does is the same whatever stores its row.
const ON_POSTGRES: &str = "package(convergence-store) | package(convergence-work) | package(convergence-provision) | \
     (package(convergence-plugin) & binary(life)) | \
     (binary(suite) & not test(exclusive) & \
     (test(/^tenant::docker_(tour|operations|restart|shutdown|doubt)::/) | test(/^platform::(plugin_admin|first_start)::/)))";

/// What the person asked of `cargo xtask test`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Also run the long tests, those marked `#[ignore]`.
    #[arg(long)]
    full: bool,
    /// Only the tests whose name contains one of these, and none of the checks before them.
    filters: Vec<String>,
}

/// The chore.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    // Ctrl-C also reaches the program in front, which ends; this chore then still stops what it started.
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed)).context("cannot listen for Ctrl-C")?;

    let mut steps = Steps::new();
    let outcome = all(workspace, options, &mut steps);
    steps.summary();
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    outcome
}

fn all(workspace: &Workspace, options: &Options, steps: &mut Steps) -> Result<()> {
    let everything = options.filters.is_empty();
    if everything {
        steps.run("format", || command::run(workspace.cargo().args(["fmt", "--all", "--check"])))?;
        steps.run("tidy", || tidy::run(workspace))?;
        steps.run("clippy", || {
            let mut clippy = workspace.cargo();
            command::run(clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))
        })?;
        if deny::is_installed() {
            steps.run("dependencies", || deny::check(workspace))?;
        } else {
            println!(
                "==> dependencies: not checked, cargo-deny is not here; `cargo xtask deny` installs it and checks"
            );
        }
    }
    steps.run("cargo-nextest", || nextest_is_here(workspace))?;
    steps.run("components", || guests::build(workspace, Which::All))?;
    steps.run("container engine", || engine::ensure(workspace))?;
    steps.run("base images", || images::ensure(workspace).map(drop))?;
    steps.run("docker-compose", || {
        apt::ensure("docker-compose", &["docker-compose"], "docker-compose, to test Compose files with,")
    })?;
    let registry = steps.run("registry", || registry::ensure(workspace))?;
    let cluster = steps.run("PostgreSQL", Cluster::start)?;
    let before = leftovers::find()?;
    steps
        .run("compile the tests", || command::run(nextest(workspace, options, &cluster, &registry)?.arg("--no-run")))?;
    steps.run("compilers of other languages", || authoring::ensure_tools(workspace))?;
    // With the binary that was compiled for the tests.
    steps.run("example plugins", || authoring::build(workspace, &authoring::binary(workspace)).map(drop))?;
    steps.run("plugins of usual toolchains", || toolchains::build(workspace, &authoring::binary(workspace)))?;
    let tested =
        steps.run("tests", || command::run(nextest(workspace, options, &cluster, &registry)?.arg("--no-fail-fast")));
    slowest::print(workspace);
    let contract =
        if everything { steps.run("the API and its document", || contract::check(workspace)) } else { Ok(()) };
    let on_postgres = if everything {
        let outcome = steps.run("tests on PostgreSQL", || {
            let mut again = nextest(workspace, options, &cluster, &registry)?;
            command::run(again.args(["--no-fail-fast", "-E", ON_POSTGRES]).env("CONVERGENCE_TEST_ENGINE", "postgres"))
        });
        slowest::print(workspace);
        outcome
    } else {
        Ok(())
    };
    // Looked at even after a failure: what a failing test leaves behind is part of the failure.
    let clean = steps.run("nothing left behind", || leftovers::check(&before));
    tested.and(contract).and(on_postgres).and(clean)?;
    if everything {
        steps.run("examples in the documentation", || {
            command::run(workspace.cargo().args(["test", "--workspace", "--doc"]))
        })?;
    }
    Ok(())
}

/// Installs the test runner where it is missing.
pub(crate) fn nextest_is_here(workspace: &Workspace) -> Result<()> {
    if command::capture(workspace.cargo().args(["nextest", "--version"])).is_ok() {
        return Ok(());
    }
    println!("    cargo-nextest is not here: compiling it takes some minutes, once");
    command::run(workspace.cargo().args(["install", "cargo-nextest", "--locked"]))
}

/// The test run, told where everything is.
fn nextest(
    workspace: &Workspace,
    options: &Options,
    cluster: &Cluster,
    registry: &Path,
) -> Result<std::process::Command> {
    let mut command = workspace.cargo();
    command.args(["nextest", "run", "--workspace"]);
    if options.full {
        command.args(["--run-ignored", "all"]);
    }
    command.args(&options.filters);
    command.env("CONVERGENCE_COMPONENTS", workspace.components());
    command.env("CONVERGENCE_IMAGES", images::mapping_file(workspace));
    command.env("CONVERGENCE_TEST_DATABASE_URL", cluster.url());
    command.env("CONVERGENCE_DOCKER_REGISTRY", registry);
    command.envs(scripting::variables(workspace)?);
    Ok(command)
}
