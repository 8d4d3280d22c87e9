//! `convergence plugin`: what authors and operators of plugins do at their desk. One file a command; none of them
//! needs a server.

mod build;
mod component;
mod key;
mod new;
mod push;
mod sign;
mod verify;

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
    /// Publish a component in an OCI registry, with its signature if it is signed.
    Push(push::Arguments),
    /// Make keys to sign with.
    #[command(subcommand)]
    Key(key::Command),
    /// Sign components: write a `.sig` file beside each.
    Sign(sign::Arguments),
    /// Check that a component is signed by a key that is trusted, as what it says it is.
    Verify(verify::Arguments),
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
        Command::Push(arguments) => push::run(arguments, output).await,
        Command::Key(command) => key::run(&command, output),
        Command::Sign(arguments) => sign::run(arguments, output).await,
        Command::Verify(arguments) => verify::run(arguments, output).await,
    }
}
