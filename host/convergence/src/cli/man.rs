//! `convergence man`

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};

use super::exit::Failure;
use super::output::{Output, write_result};

/// Where the pages go.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write a page for every command into this folder [default: print the first page].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the manual page of the program, or writes those of all commands.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let command = super::Arguments::command();
    let Some(folder) = &arguments.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).context("cannot make the manual page")?;
        write_result(String::from_utf8_lossy(&page).trim_end());
        return Ok(());
    };
    let cannot = || format!("cannot write manual pages into {}", folder.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    clap_mangen::generate_to(command, folder).with_context(cannot)?;
    output.result(&serde_json::json!({ "folder": folder }), || {
        let shown = folder.display();
        format!("wrote the manual pages to {shown}; read one with `man {shown}/convergence.1`")
    });
    Ok(())
}
