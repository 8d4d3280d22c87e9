//! Every chore of this repository, in Rust: `cargo xtask up`, `cargo xtask test`, and what they are made of.
//!
//! A chore works on a machine that has only Rust, git and root on Debian or Ubuntu: what is missing is installed,
//! and each installation is announced before it happens. Elsewhere the chore stops and says what to install.
//! This crate never becomes part of the product: nothing under `host/` depends on it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who started it")]
#![allow(
    clippy::disallowed_methods,
    reason = "the bans of clippy.toml keep the product deterministic; a chore reads the environment and the clock"
)]

mod apt;
mod authoring;
mod bench;
mod chaos;
mod clean;
mod cluster;
mod command;
mod contract;
mod deny;
mod engine;
mod guests;
mod images;
mod leftovers;
mod pull;
mod registry;
mod scripting;
mod settings;
mod slowest;
mod stand_in;
mod step;
mod test;
mod tidy;
mod toolchains;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The chores of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Bring everything up: engine, base images, plugins, the server and a first tenant `hello`.
    Up(up::Options),
    /// Run every check and every test, real containers included. This is what CI runs.
    Test(test::Options),
    /// Build the WebAssembly components under `plugins/` and print their sizes.
    Guests,
    /// Build the same plugins with the usual toolchains of Python, JavaScript, Go and C.
    Toolchains,
    /// Make sure a container engine answers; on Debian and Ubuntu, as root, install and start one.
    Engine,
    /// Make sure the base images exist: present, pulled, or built as stand-ins.
    Images(images::Options),
    /// Check the rules of the house that no compiler checks.
    Tidy,
    /// Check licences, advisories and sources of every dependency with cargo-deny.
    Deny,
    /// Measure the product against the bare thing, in the same run.
    Bench(bench::Options),
    /// Hold the HTTP API against its OpenAPI document.
    Contract,
    /// Kill a server under load again and again, and compare what it knows with what is there.
    Chaos(chaos::Options),
    /// Remove what the chores left on this machine: tenants, their images, stand-ins, state.
    Clean(clean::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match Workspace::find().and_then(|workspace| run(&workspace, arguments.chore)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(workspace: &Workspace, chore: Chore) -> anyhow::Result<()> {
    match chore {
        Chore::Up(options) => up::run(workspace, &options),
        Chore::Test(options) => test::run(workspace, &options),
        Chore::Guests => guests::run(workspace),
        Chore::Toolchains => toolchains::run(workspace),
        Chore::Engine => engine::run(workspace),
        Chore::Images(options) => images::run(workspace, &options),
        Chore::Tidy => tidy::run(workspace),
        Chore::Deny => deny::run(workspace),
        Chore::Bench(options) => bench::run(workspace, &options),
        Chore::Contract => contract::run(workspace),
        Chore::Chaos(options) => chaos::run(workspace, &options),
        Chore::Clean(options) => clean::run(workspace, &options),
    }
}
