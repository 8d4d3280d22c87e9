//! Puts into the binary what a project is made of, so that an author needs no copy of this repository: the scaffolds,
//! the contract (`wit/`), and the Rust SDK with the manifest and the lock file it inherits from.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "Cargo tells a build script everything by variables"
)]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What building or trying a scaffold in place leaves behind.
const LEFTOVERS: [&str; 6] = ["build", "target", "node_modules", "__pycache__", ".venv", ".git"];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo sets it"));
    let root = here.join("../..");
    let mut files = Vec::new();
    collect(&here.join("scaffold"), "scaffold", &mut files);
    collect(&root.join("wit"), "wit", &mut files);
    collect(&root.join("plugin-api"), "sdk", &mut files);
    for name in ["Cargo.toml", "Cargo.lock", "LICENSE"] {
        files.push((format!("workspace/{name}"), root.join(name)));
    }
    files.sort();
    let mut table = String::from("&[\n");
    for (name, path) in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        let path = path.canonicalize().expect("it was just found");
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),").expect("strings grow");
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it"));
    fs::write(out.join("embedded.rs"), table).expect("the output folder is writable");
}

/// Every file below `folder`, named from `prefix`.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) {
    // A file that is added or removed changes its folder.
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be read to its end").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("our names are text").to_owned();
        if LEFTOVERS.contains(&name.as_str()) {
            continue;
        }
        let place = format!("{prefix}/{name}");
        if path.is_dir() {
            collect(&path, &place, files);
        } else {
            files.push((place, path));
        }
    }
}
