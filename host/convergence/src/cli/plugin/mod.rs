//! `convergence plugin`: what authors and operators of plugins do at their desk. One file a command; none of them
//! needs a server.

mod build;
mod new;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use convergence_authoring::Project;

use super::exit::Failure;
use super::output::Output;

/// Which command.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a project.
    New(new::Arguments),
    /// Make a component of a project.
    Build(build::Arguments),
}

/// A project that is there already.
#[derive(Debug, Args)]
struct Place {
    /// The project's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

impl Place {
    fn open(&self) -> Result<Project, Failure> {
        Project::open(&self.folder).map_err(|error| Failure::Failed(error.to_string()))
    }
}

/// Runs the command that was asked for.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    match arguments.command {
        Command::New(arguments) => new::run(&arguments, output),
        Command::Build(arguments) => build::run(&arguments, output).await,
    }
}
