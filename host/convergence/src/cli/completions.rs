//! `convergence completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::exit::Failure;
use super::output::write_result;

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Print the script for this shell.
    shell: Shell,
}

/// Prints a completion script, for example for `/etc/bash_completion.d`.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "convergence", &mut script);
    write_result(&String::from_utf8_lossy(&script));
    Ok(())
}
