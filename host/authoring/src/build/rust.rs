//! Rust: Cargo makes a core module for the bare target, which is wrapped here.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{BuildError, encode, read, tool};
use crate::project::Project;

/// No operating system, so a component imports nothing but what its world says.
const TARGET: &str = "wasm32-unknown-unknown";

const INSTALL_CARGO: &str = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, BuildError> {
    target_is_here(project.folder())?;
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(project.folder())
        .args(["build", "--release", "--lib", "--target", TARGET])
        .arg("--message-format=json-render-diagnostics");
    let messages = tool::capture(&mut cargo, INSTALL_CARGO)?;
    let module = module(&messages, project.folder()).ok_or_else(|| {
        BuildError::Project(
            "Cargo built no module: Cargo.toml needs `crate-type = [\"cdylib\"]` under [lib]".to_owned(),
        )
    })?;
    encode(&read(&module)?)
}

/// The module that Cargo says it made of the project's own library.
fn module(messages: &str, folder: &Path) -> Option<PathBuf> {
    let own = folder.join("Cargo.toml");
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifacts = messages.filter(|message| {
        let text = |key: &str| message.get(key).and_then(Value::as_str);
        text("reason") == Some("compiler-artifact") && text("manifest_path").map(Path::new) == Some(&own)
    });
    let files = artifacts.filter_map(|artifact| artifact.get("filenames")?.as_array().cloned()).flatten();
    let mut files = files.filter_map(|file| file.as_str().map(PathBuf::from));
    files.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// Whether the Rust in use can compile for the target.
fn target_is_here(folder: &Path) -> Result<(), BuildError> {
    let mut question = Command::new("rustc");
    question.current_dir(folder).args(["--print", "target-libdir", "--target", TARGET]);
    let libraries = tool::capture(&mut question, INSTALL_CARGO)?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    let rustup = tool::probe(Command::new("rustup").arg("--version")).is_some();
    let install = if rustup {
        format!("rustup target add {TARGET}")
    } else {
        "apt-get install libstd-rust-dev-wasm32".to_owned()
    };
    Err(BuildError::MissingTool { what: format!("the Rust target {TARGET}"), install })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_projects_own() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/p/sdk/Cargo.toml","filenames":["/t/sdk.wasm"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/x.wasm","/t/libx.rlib"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(module(messages, Path::new("/p")), Some(PathBuf::from("/t/x.wasm")));
        assert_eq!(module("", Path::new("/p")), None);
    }
}
