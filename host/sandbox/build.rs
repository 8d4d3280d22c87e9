//! Hands the contract to wasmtime's `bindgen!`, with one name changed.
//!
//! The macro derives code in the same module as the types of an interface, and that code says `T: Copy`. So it does not
//! compile where the interface has a record `copy`. Names of records are not part of a component's type: a guest built
//! with `copy` and a host that says `copying` agree. Delete this file when the macro writes `::core::marker::Copy`, or
//! when a new version of the contract has another name.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "how Cargo and a build script talk")]

use std::path::{Path, PathBuf};
use std::{env, error, fs};

const PACKAGES: [&str; 4] = ["host", "plugin", "template", "policy"];
const RENAMED: [(&str, &str); 2] = [("record copy {", "record copying {"), ("copy(copy)", "copy(copying)")];

fn main() -> Result<(), Box<dyn error::Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let wit = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../wit");
    for package in PACKAGES {
        let from = wit.join(package);
        println!("cargo::rerun-if-changed={}", from.display());
        let to = out.join("wit").join(package);
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "wit") {
                let text = fs::read_to_string(&path)?;
                let text = RENAMED.iter().fold(text, |text, (from, to)| text.replace(from, to));
                fs::write(to.join(path.file_name().unwrap_or_default()), text)?;
            }
        }
    }
    let shared = "with: {
            \"convergence:host/log\": crate::v0_1::bindings::template::convergence::host::log,
            \"convergence:plugin/plugin-types\": crate::v0_1::bindings::template::convergence::plugin::plugin_types,
        },";
    let asynchronous = "exports: { default: async },";
    let shared = format!("{asynchronous}\n        {shared}");
    world(&out, "template", "template", "convergence:template/language-template", asynchronous)?;
    world(&out, "policy", "policy", "convergence:policy/validation-policy", &shared)?;
    // For the baseline of the benchmark.
    world(&out, "bare", "template", "convergence:template/language-template", "")?;
    Ok(())
}

/// Writes the call of the macro, whose paths must be literals.
fn world(out: &Path, name: &str, package: &str, world: &str, options: &str) -> Result<(), Box<dyn error::Error>> {
    let paths: Vec<String> =
        ["host", "plugin", package].iter().map(|name| format!("{:?}", out.join("wit").join(name))).collect();
    let text = format!(
        "wasmtime::component::bindgen!({{
        path: [{}],
        world: {world:?},
        {options}
    }});\n",
        paths.join(", ")
    );
    fs::write(out.join(format!("{name}.rs")), text)?;
    Ok(())
}
