//! `convergence`: one server that owns organizations, tenants, storage and the HTTP API; and its command line,
//! each command of which is a client of that API.

mod boot;
mod cli;
mod config;
mod installation;
mod lifecycle;
mod memory;
#[cfg(any(debug_assertions, feature = "rehearsal"))]
mod rehearsal;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
