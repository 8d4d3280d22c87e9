//! The command line: one file a command. Every command but `serve`, `doctor`, `openapi`, `schema`, `completions`, `man` and
//! those of `plugin` for authors, which need no server, is a client of the HTTP API and does nothing that another client could not do.
//!
//! Exit codes, stable: see [`exit`].

mod age;
mod client;
pub(crate) mod compile_component;
mod completions;
mod confirm;
mod deploy;
mod deployments;
mod destroy;
mod doctor;
mod events;
pub(crate) mod exit;
mod keys;
mod leftovers;
mod list;
mod logs;
mod man;
mod openapi;
mod operation;
mod output;
mod plan;
mod plugin;
mod progress;
mod registry;
mod scale;
mod schema;
mod serve;
mod spawn;
mod spec;
mod sse;
mod status;
mod table;
mod tenant;
mod terminal;
mod up;
mod variables;
mod verbs;
mod volume;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use convergence_model::Exit;

use client::Client;
use exit::Failure;
use output::Output;

use crate::memory;

/// Spawns tenants as containers, planned by sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "convergence", version, about, after_help = exit::help())]
struct Arguments {
    /// Talk to the server at this URL.
    #[arg(long, global = true, env = "CONVERGENCE_URL", default_value = client::DEFAULT_URL, value_name = "URL", value_parser = client::base)]
    url: String,

    /// Print machine-readable JSON.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server in the foreground until SIGTERM or Ctrl-C.
    Serve(serve::Arguments),
    /// Run the server, and spawn a first tenant if there is none.
    Up(up::Arguments),
    /// Check the server, or this machine, and suggest fixes.
    Doctor(doctor::Arguments),
    /// Show what a spawn would build and run, without doing it.
    Plan(plan::Arguments),
    /// Build and run a new tenant.
    Spawn(spawn::Arguments),
    /// Deploy the application in a folder: to a new tenant, or as the next revision of one.
    Deploy(deploy::Arguments),
    /// List the revisions of a tenant.
    Deployments(deployments::Listing),
    /// Show what is different in a revision of a tenant.
    Diff(deployments::Diff),
    /// Restore an earlier revision of a tenant: image, limits and variables.
    Rollback(deployments::Rollback),
    /// Open a tenant in a browser, and print its address.
    Open(deployments::Open),
    /// List tenants.
    List(list::Arguments),
    /// Show the state of a tenant.
    Status(status::Arguments),
    /// Print the logs of a tenant.
    Logs(logs::Arguments),
    /// Start a tenant that was stopped or failed.
    Start(verbs::Verb),
    /// Stop a tenant until it is started again.
    Stop(verbs::Verb),
    /// Stop a tenant's app and start it again.
    Restart(verbs::Verb),
    /// Change the processor, memory or disk limits of a tenant.
    Scale(scale::Arguments),
    /// Give a tenant another name.
    Rename(verbs::Rename),
    /// Protect a tenant: it is destroyed only when it is named again.
    Protect(verbs::Protection),
    /// End the protection of a tenant.
    Unprotect(verbs::Protection),
    /// Show or change the variables of a tenant.
    Env(variables::env::Arguments),
    /// Show or change the secrets of a tenant.
    Secret(variables::secret::Arguments),
    /// List or remove the volumes of a tenant.
    Volume(volume::Arguments),
    /// Destroy a tenant with its container, volumes and data.
    Destroy(destroy::Arguments),
    /// Repair a tenant so that it matches its current revision.
    Repair(operation::Repair),
    /// Inspect, cancel and retry operations.
    Operation(operation::Arguments),
    /// Follow the events of all operations as they happen.
    Events(events::Arguments),
    /// List or remove what is left in the engine and belongs to no tenant.
    Leftovers(leftovers::Arguments),
    /// List, rotate or retire the keys that secrets are sealed with.
    Keys(keys::Arguments),
    /// Log in to private registries of images, list them, or log out.
    Registry(registry::Arguments),
    /// Create, build, check, install and monitor plugins.
    Plugin(plugin::Arguments),
    /// Print the JSON Schema of convergence.toml, the file of an application. Needs no server.
    Schema,
    /// Print the OpenAPI document of the HTTP API. Needs no server.
    Openapi,
    /// Print a completion script for a shell.
    Completions(completions::Arguments),
    /// Print the manual page, or write those of all commands.
    Man(man::Arguments),
    /// Compile a plugin; started by the server.
    #[command(hide = true)]
    CompileComponent(compile_component::Arguments),
}

/// Runs the command that was asked for.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return told_by_clap(&told),
    };
    // It bounds its process, so nothing may have been started in it.
    if let Command::CompileComponent(arguments) = &arguments.command {
        return compile_component::run(arguments);
    }
    if matches!(arguments.command, Command::Serve(_) | Command::Up(_)) {
        memory::return_large_blocks();
    }
    let output = Output::new(arguments.json);
    match dispatch(arguments, &output).and_then(|()| output::written()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// A help text or a version is a result like any other; a usage error ends the command as documented.
fn told_by_clap(told: &clap::Error) -> ExitCode {
    if let Err(error) = told.print().and_then(|()| io::stdout().flush()) {
        if told.use_stderr() {
            return ExitCode::from(Exit::Usage.number());
        }
        output::not_written(&error);
    }
    match (told.use_stderr(), output::written()) {
        (true, _) => ExitCode::from(Exit::Usage.number()),
        (false, Ok(())) => ExitCode::SUCCESS,
        (false, Err(failure)) => {
            Output::new(false).failure(&failure);
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let Arguments { url, command, .. } = arguments;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let serves = matches!(command, Command::Serve(_) | Command::Up(_));
    let done = runtime.block_on(async {
        let client = || Client::new(&url);
        match command {
            Command::Serve(arguments) => serve::run(&arguments).await,
            Command::Up(arguments) => up::run(&arguments, output).await,
            Command::Doctor(arguments) => doctor::run(&arguments, client, output).await,
            Command::Plan(arguments) => plan::run(&client()?, arguments, output).await,
            Command::Spawn(arguments) => spawn::run(&client()?, arguments, output).await,
            Command::Deploy(arguments) => deploy::run(&client()?, &arguments, output).await,
            Command::Deployments(arguments) => deployments::list(&client()?, &arguments, output).await,
            Command::Diff(arguments) => deployments::diff(&client()?, &arguments, output).await,
            Command::Rollback(arguments) => deployments::rollback(&client()?, &arguments, output).await,
            Command::Open(arguments) => deployments::open(&client()?, &arguments, output).await,
            Command::List(arguments) => list::run(&client()?, &arguments, output).await,
            Command::Status(arguments) => status::run(&client()?, &arguments, output).await,
            Command::Logs(arguments) => logs::run(&client()?, &arguments, output).await,
            Command::Start(arguments) => {
                verbs::run(&client()?, &arguments, verbs::Word { verb: "start", done: "is started" }, output).await
            }
            Command::Stop(arguments) => {
                verbs::run(&client()?, &arguments, verbs::Word { verb: "stop", done: "is stopped" }, output).await
            }
            Command::Restart(arguments) => {
                verbs::run(&client()?, &arguments, verbs::Word { verb: "restart", done: "is restarted" }, output).await
            }
            Command::Scale(arguments) => scale::run(&client()?, &arguments, output).await,
            Command::Rename(arguments) => verbs::rename(&client()?, &arguments, output).await,
            Command::Protect(arguments) => verbs::protect(&client()?, &arguments, true, output).await,
            Command::Unprotect(arguments) => verbs::protect(&client()?, &arguments, false, output).await,
            Command::Env(arguments) => variables::env::run(&client()?, &arguments, output).await,
            Command::Secret(arguments) => variables::secret::run(&client()?, &arguments, output).await,
            Command::Volume(arguments) => volume::run(&client()?, &arguments, output).await,
            Command::Keys(arguments) => keys::run(&client()?, &arguments, output).await,
            Command::Registry(arguments) => registry::run(&client()?, &arguments, output).await,
            Command::Destroy(arguments) => destroy::run(&client()?, &arguments, output).await,
            Command::Repair(arguments) => operation::repair(&client()?, &arguments, output).await,
            Command::Operation(arguments) => operation::run(&client()?, arguments, output).await,
            Command::Leftovers(arguments) => leftovers::run(&client()?, &arguments, output).await,
            Command::Plugin(arguments) => plugin::run(client, arguments, output).await,
            Command::Openapi => openapi::run(),
            Command::Schema => schema::run(),
            Command::Events(arguments) => events::run(&client()?, &arguments, output).await,
            Command::Completions(arguments) => completions::run(&arguments),
            Command::Man(arguments) => man::run(&arguments, output),
            Command::CompileComponent(_) => Err(Failure::Failed("it runs without a runtime".to_owned())),
        }
    });
    if !serves {
        // What still blocks, for example a build that Ctrl-C has ended, is not waited for.
        runtime.shutdown_background();
    }
    done
}
