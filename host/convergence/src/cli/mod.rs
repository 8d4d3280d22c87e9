//! The command line: one file a command. Every command but `serve`, `doctor`, `openapi`, `completions` and those of `plugin` for
//! authors, which need no server, is a client of the HTTP API and does nothing that another client could not do.
//!
//! Exit codes, stable: see [`exit`].

mod client;
pub(crate) mod compile_component;
mod completions;
mod destroy;
mod doctor;
pub(crate) mod exit;
mod leftovers;
mod list;
mod logs;
mod openapi;
mod operation;
mod output;
mod plan;
mod plugin;
mod serve;
mod spawn;
mod spec;
mod status;
mod tenant;
mod up;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::Client;
use exit::Failure;
use output::Output;

use crate::memory;

/// Spawns tenants as containers, planned by sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "convergence", version, about, after_help = exit::help())]
struct Arguments {
    /// The server to talk to.
    #[arg(long, global = true, env = "CONVERGENCE_URL", default_value = "http://127.0.0.1:3000", value_name = "URL")]
    url: String,

    /// Print JSON, one document, instead of text for people.
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
    /// List tenants.
    List(list::Arguments),
    /// Show how a tenant is.
    Status(status::Arguments),
    /// Print what a tenant printed.
    Logs(logs::Arguments),
    /// Remove a tenant and everything it has.
    Destroy(destroy::Arguments),
    /// Bring a tenant back to what it should be, also one that failed.
    Repair(operation::Repair),
    /// Look at what is done to tenants, take it back, try it again.
    Operation(operation::Arguments),
    /// List what is left in the engine and belongs to no tenant, or remove it.
    Leftovers(leftovers::Arguments),
    /// Make, build, check, install and watch plugins.
    Plugin(plugin::Arguments),
    /// Print the OpenAPI document of the HTTP API. Needs no server.
    Openapi,
    /// Print a completion script for a shell.
    Completions(completions::Arguments),
    /// Compile a plugin; started by the server.
    #[command(hide = true)]
    CompileComponent(compile_component::Arguments),
}

/// Runs the command that was asked for.
pub(crate) fn run() -> ExitCode {
    let arguments = Arguments::parse();
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

fn dispatch(arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let Arguments { url, command, .. } = arguments;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    runtime.block_on(async {
        let client = || Client::new(&url);
        match command {
            Command::Serve(arguments) => serve::run(&arguments).await,
            Command::Up(arguments) => up::run(&arguments, output).await,
            Command::Doctor(arguments) => doctor::run(&arguments, client, output).await,
            Command::Plan(arguments) => plan::run(&client()?, arguments, output).await,
            Command::Spawn(arguments) => spawn::run(&client()?, arguments, output).await,
            Command::List(arguments) => list::run(&client()?, &arguments, output).await,
            Command::Status(arguments) => status::run(&client()?, &arguments, output).await,
            Command::Logs(arguments) => logs::run(&client()?, &arguments, output).await,
            Command::Destroy(arguments) => destroy::run(&client()?, &arguments, output).await,
            Command::Repair(arguments) => operation::repair(&client()?, &arguments, output).await,
            Command::Operation(arguments) => operation::run(&client()?, arguments, output).await,
            Command::Leftovers(arguments) => leftovers::run(&client()?, &arguments, output).await,
            Command::Plugin(arguments) => plugin::run(client, arguments, output).await,
            Command::Openapi => openapi::run(),
            Command::Completions(arguments) => completions::run(&arguments),
            Command::CompileComponent(_) => Err(Failure::Failed("it runs without a runtime".to_owned())),
        }
    })
}
