//! Removing what the chores and the servers they started left on this machine.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use clap::Args;

use crate::workspace::Workspace;
use crate::{leftovers, stand_in};

/// What the person asked of `cargo xtask clean`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Really remove; without it the chore only says what it would remove.
    #[arg(long)]
    yes: bool,
    /// Also remove the stand-in base images, which take minutes to build again.
    #[arg(long)]
    stand_ins: bool,
}

/// The chore.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let ours = leftovers::find_all()?;
    let state = workspace.state();
    if !options.yes {
        println!("This would remove, for good (say --yes to do it):");
        for leftover in &ours {
            println!("  {leftover}");
        }
        println!("  the server's state, tenants' records included, in {}", state.display());
        if options.stand_ins {
            println!("  every stand-in base image");
        }
        return Ok(());
    }
    for leftover in &ours {
        leftovers::remove(leftover)?;
    }
    match fs::remove_dir_all(&state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", state.display()));
        }
        _ => println!("    removed {}", state.display()),
    }
    if options.stand_ins {
        stand_in::remove_all()?;
    }
    Ok(())
}
