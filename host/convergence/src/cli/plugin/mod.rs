//! `convergence plugin`: what authors of plugins do at their desk, without a server, and what administrators do with the
//! plugins of one.

mod bench;
mod build;
mod check;
mod component;
mod decide;
mod install;
mod key;
mod list;
mod new;
mod push;
mod show;
mod sign;
mod stats;
mod test;
mod try_out;
mod verify;
mod wit;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use convergence_authoring::{Project, Subject};

use super::client::Client;
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
    /// Create a plugin project.
    New(new::Arguments),
    /// Write the contract as WIT files, for the toolchain of any language.
    Wit(wit::Arguments),
    /// Build a project into a component.
    Build(build::Arguments),
    /// Check whether a server would accept the plugin: run every step of an installation and report everything that is wrong.
    Check(check::Arguments),
    /// Run the plugin's test cases.
    Test(test::Arguments),
    /// Measure the time, fuel and memory of the plugin's calls.
    Bench(bench::Arguments),
    /// Publish a component to an OCI registry, with its signature if there is one.
    Push(push::Arguments),
    /// Generate keys for signing, and print their public parts.
    #[command(subcommand)]
    Key(key::Command),
    /// Sign components: write a `.sig` file beside each.
    Sign(sign::Arguments),
    /// Verify that a trusted key signed a component, with its id, version and kind.
    Verify(verify::Arguments),
    /// List the plugins of a server, and the files it rejected.
    List,
    /// Show the state, configuration and versions of a plugin.
    Show(show::Arguments),
    /// Install a component on a server.
    Install(install::Arguments),
    /// Enable a plugin.
    Enable(decide::Plain),
    /// Disable a plugin.
    Disable(decide::Plain),
    /// Set the configuration of a plugin.
    Configure(decide::Configure),
    /// Set the organizations that a policy applies to.
    Bind(decide::Bind),
    /// Use another version of a plugin [default: the previous one].
    Rollback(decide::Rollback),
    /// Uninstall a plugin and delete its files from the plugins folder.
    Remove(decide::Remove),
    /// Ask a plugin something to see what it answers. Nothing comes of it.
    Try(try_out::Arguments),
    /// Show how many calls a plugin had, how long they took and how they ended.
    Stats(decide::Plain),
}

/// A project that is there already.
#[derive(Debug, Args)]
struct Place {
    /// Use the project in this folder.
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
    /// Use the project in this folder, which is built first, or this component.
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

/// A plugin of a server.
#[derive(Debug, Args)]
struct Named {
    /// Name the plugin by its id.
    #[arg(value_name = "PLUGIN", value_parser = id)]
    id: String,
}

/// Ids are part of paths, and need no escaping there.
fn id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c));
    if fits { Ok(text.to_owned()) } else { Err("an id consists of letters, digits, `-` and `.`".to_owned()) }
}

impl Named {
    fn path(&self, below: &str) -> String {
        format!("/api/v1/plugins/{}{below}", self.id)
    }
}

/// Runs the command that was asked for.
pub(crate) async fn run(
    client: impl Fn() -> Result<Client, Failure>,
    arguments: Arguments,
    output: &Output,
) -> Result<(), Failure> {
    match arguments.command {
        Command::List => list::run(&client()?, output).await,
        Command::Show(arguments) => show::run(&client()?, &arguments, output).await,
        Command::Install(arguments) => install::run(&client()?, &arguments, output).await,
        Command::Enable(arguments) => decide::enable(&client()?, &arguments, true, output).await,
        Command::Disable(arguments) => decide::enable(&client()?, &arguments, false, output).await,
        Command::Configure(arguments) => decide::configure(&client()?, &arguments, output).await,
        Command::Bind(arguments) => decide::bind(&client()?, &arguments, output).await,
        Command::Rollback(arguments) => decide::rollback(&client()?, &arguments, output).await,
        Command::Remove(arguments) => decide::remove(&client()?, &arguments, output).await,
        Command::Try(arguments) => try_out::run(&client()?, &arguments, output).await,
        Command::Stats(arguments) => stats::run(&client()?, &arguments, output).await,
        Command::New(arguments) => new::run(&arguments, output),
        Command::Wit(arguments) => wit::run(&arguments, output),
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
