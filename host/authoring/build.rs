//! Puts into the binary what a project is made of, so that an author needs no copy of this repository: the scaffolds,
//! the contract (`wit/`), and the Rust SDK with the manifest and the lock file it inherits from.
#![allow(clippy::disallowed_methods, reason = "Cargo tells a build script everything by variables")]

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What building or trying a scaffold in place leaves behind.
const LEFTOVERS: [&str; 6] = ["build", "target", "node_modules", "__pycache__", ".venv", ".git"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = here.join("../..");
    let mut files = Vec::new();
    collect(&here.join("scaffold"), "scaffold", &mut files)?;
    collect(&root.join("wit"), "wit", &mut files)?;
    collect(&root.join("plugin-api"), "sdk", &mut files)?;
    for name in ["Cargo.toml", "Cargo.lock", "LICENSE"] {
        files.push((format!("workspace/{name}"), root.join(name)));
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.canonicalize()?;
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    Ok(fs::write(out.join("embedded.rs"), table)?)
}

/// Every file below `folder`, named from `prefix`.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Box<dyn Error>> {
    // A file that is added or removed changes its folder.
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if LEFTOVERS.contains(&name.as_str()) {
            continue;
        }
        let place = format!("{prefix}/{name}");
        if path.is_dir() {
            collect(&path, &place, files)?;
        } else {
            files.push((place, path));
        }
    }
    Ok(())
}
