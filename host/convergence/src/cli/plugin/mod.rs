//! `convergence plugin`: what authors and operators of plugins do at their desk. One file a command; none of them
//! needs a server.

mod bench;
mod build;
mod check;
mod component;
mod key;
mod new;
mod push;
mod sign;
mod test;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use convergence_authoring::{Project, Subject};

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
    /// See whether a server would take it: every step of an installation, with everything that is wrong.
    Check(check::Arguments),
    /// Hold it against the cases in its folder.
    Test(test::Arguments),
    /// Measure what its calls take.
    Bench(bench::Arguments),
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

/// A project, which is built first, or a component that is there already.
#[derive(Debug, Args)]
struct ProjectOrFile {
    /// The project's folder, which is built first; or a component.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    place: PathBuf,
}

impl ProjectOrFile {
    /// `cases` stands in for the folder of cases that it has of its own.
    async fn prepare(&self, cases: Option<&PathBuf>) -> Result<Subject, Failure> {
        let place = self.place.clone();
        let prepared = tokio::task::spawn_blocking(move || Subject::prepare(&place)).await;
        let subject = prepared
            .map_err(|error| Failure::Failed(format!("building it failed: {error}")))?
            .map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(match cases {
            Some(cases) => subject.with_cases(cases.clone()),
            None => subject,
        })
    }
}

/// Runs the command that was asked for.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    match arguments.command {
        Command::New(arguments) => new::run(&arguments, output),
        Command::Build(arguments) => build::run(&arguments, output).await,
        Command::Check(arguments) => check::run(&arguments, output).await,
        Command::Test(arguments) => test::run(&arguments, output).await,
        Command::Bench(arguments) => bench::run(&arguments, output).await,
        Command::Push(arguments) => push::run(arguments, output).await,
        Command::Key(command) => key::run(&command, output),
        Command::Sign(arguments) => sign::run(arguments, output).await,
        Command::Verify(arguments) => verify::run(arguments, output).await,
    }
}

/// A number of instructions, short enough for a column.
fn fuel(units: u64) -> String {
    match units {
        0..10_000 => format!("{units} fuel"),
        10_000..10_000_000 => format!("{:.1} k fuel", units as f64 / 1e3),
        _ => format!("{:.1} M fuel", units as f64 / 1e6),
    }
}

/// A number of bytes, short enough for a column.
fn bytes(count: usize) -> String {
    match count {
        0..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
