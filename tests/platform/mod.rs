//! The platform itself: bad input, plugins, the command line. None of it needs an engine, except where the name says so.

mod authoring;
mod authoring_faults;
mod bad_input;
mod command_line;
mod connection;
mod contract;
mod desk;
mod docker_command_line;
mod docker_events;
mod docker_operation_commands;
mod first_start;
mod plugin_admin;
mod plugin_memory;
pub(crate) mod plugin_swap;
mod plugins;
mod registry;
mod signing;
mod streams;
mod terminal;
mod transcripts;

use crate::harness::{Options, Server};

/// A server whose engine does not exist: whatever it refuses, it refuses before it needs one.
pub(crate) async fn without_engine() -> Server {
    Server::with(Options {
        tables: "\n[docker]\nsocket = \"/nonexistent/docker.sock\"\n".to_owned(),
        ..Options::default()
    })
    .await
}
