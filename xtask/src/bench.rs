//! Benchmarks: every bench target of the workspace, with what it needs prepared.

use anyhow::{Result, bail};
use clap::Args;

use crate::cluster::Cluster;
use crate::guests::Which;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{authoring, command, engine, guests, images, toolchains, up};

/// Benches that start no server and no container.
const WITHOUT_ENGINE: [&str; 4] = ["hostile", "operations", "plan_call", "plugins"];
/// Benches that also measure on PostgreSQL.
const WITH_POSTGRES: [&str; 1] = ["operations"];
/// Benches that call the examples of every language.
const WITH_EXAMPLES: [&str; 1] = ["plugins"];

/// What the person asked of `cargo xtask bench`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only the bench targets whose name contains this.
    filter: Option<String>,
    /// Arguments for the benchmarks themselves.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// The chore.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let benches = benches(workspace, options.filter.as_deref().unwrap_or_default());
    if benches.is_empty() {
        bail!(
            "no bench target has a name like that; a bench is a [[bench]] of a workspace member with `harness = false`"
        );
    }
    let with_engine = benches.iter().any(|(_, bench)| !WITHOUT_ENGINE.contains(&bench.as_str()));
    let with_examples = benches.iter().any(|(_, bench)| WITH_EXAMPLES.contains(&bench.as_str()));
    let mut steps = Steps::new();
    if with_engine {
        steps.run("container engine", || engine::ensure(workspace))?;
        steps.run("base images", || images::ensure(workspace).map(drop))?;
    }
    steps.run("components", || guests::build(workspace, Which::All))?;
    // One command for all: apart, each would compile what they share with features of its own.
    let mut command = workspace.cargo();
    command.arg("bench");
    for (package, bench) in &benches {
        command.args(["--package", package, "--bench", bench]);
    }
    command.arg("--").args(&options.arguments);
    command.env("CONVERGENCE_COMPONENTS", workspace.components());
    // Kept until the benches are over.
    let cluster = match benches.iter().any(|(_, bench)| WITH_POSTGRES.contains(&bench.as_str())) {
        true => Some(steps.run("PostgreSQL", Cluster::durable)?),
        false => None,
    };
    if let Some(cluster) = &cluster {
        command.env("CONVERGENCE_TEST_DATABASE_URL", cluster.url());
    }
    if with_engine || with_examples {
        let server = steps.run("server, in release", || up::build_server(workspace, &[]))?;
        if with_examples {
            steps.run("tools for example plugins", || authoring::ensure_tools(workspace))?;
            steps.run("example plugins", || authoring::build(workspace, &server).map(drop))?;
            steps.run("plugins of usual toolchains", || toolchains::build(workspace, &server))?;
        }
        command.env("CONVERGENCE_BIN", &server);
    }
    if with_engine {
        command.env("CONVERGENCE_IMAGES", images::mapping_file(workspace));
    }
    steps.run("benchmarks", || command::run(&mut command))?;
    steps.summary();
    Ok(())
}

/// Package and name of each bench target whose name contains `filter`.
fn benches(workspace: &Workspace, filter: &str) -> Vec<(String, String)> {
    let of_package = |package: &crate::workspace::Package| {
        let benches = package.targets.iter().filter(|target| target.kinds.iter().any(|kind| kind == "bench"));
        let named = benches.filter(|target| target.name.contains(filter));
        named.map(|target| (package.name.clone(), target.name.clone())).collect::<Vec<_>>()
    };
    workspace.packages().iter().flat_map(of_package).collect()
}
