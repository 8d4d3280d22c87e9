//! `convergence plugin wit`

use std::path::PathBuf;

use clap::Args;
use convergence_authoring::{KINDS, Kind};
use serde_json::json;

use super::new::kinds;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// What to write, and where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write into this folder: `<kind>.wit`, and the packages it uses below `deps/`.
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Write the contract of this kind [default: all kinds, each in a folder of its own].
    #[arg(long, value_parser = kinds(), value_name = "KIND")]
    kind: Option<Kind>,

    /// Overwrite files that have other contents.
    #[arg(long)]
    force: bool,
}

/// Writes the contract and says which files it is.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let places: Vec<_> = match arguments.kind {
        Some(kind) => vec![(kind, arguments.folder.clone())],
        None => KINDS.into_iter().map(|kind| (kind, arguments.folder.join(kind.as_str()))).collect(),
    };
    let mut files = Vec::new();
    for (kind, folder) in places {
        let written = convergence_authoring::write_contract(kind, &folder, arguments.force);
        files.extend(written.map_err(|error| Failure::Failed(error.to_string()))?);
    }
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    output.result(&json!({ "files": names }), || names.join("\n"));
    Ok(())
}
