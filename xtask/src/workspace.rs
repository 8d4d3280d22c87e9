//! Where things are: the repository, its target folder, its packages, as Cargo reports them.

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command;

/// The Cargo workspace the chore was started in.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
    packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name, as `cargo build -p` takes it.
    pub(crate) name: String,
    /// The folder that holds its `Cargo.toml`.
    pub(crate) folder: PathBuf,
    /// What it builds.
    pub(crate) targets: Vec<Target>,
    /// The names of its dependencies of every kind, with the kind: `None` is an ordinary one, else `dev` or `build`.
    pub(crate) dependencies: Vec<(String, Option<String>)>,
}

/// One thing a package builds.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name; the file name of a library has `_` for each `-`.
    pub(crate) name: String,
    /// `lib`, `cdylib`, `bin`, `bench`, …
    pub(crate) kinds: Vec<String>,
}

impl Workspace {
    /// Asks Cargo about the workspace of the current folder.
    pub(crate) fn find() -> Result<Self> {
        let mut question = Command::new(cargo());
        question.args(["metadata", "--no-deps", "--format-version", "1"]);
        let answer = command::capture(&mut question)
            .context("cannot ask Cargo about the workspace; start the chore inside the repository")?;
        let answer: Value =
            serde_json::from_str(&answer).context("`cargo metadata` printed something other than JSON")?;
        let text = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_str)
                .map(PathBuf::from)
                .with_context(|| format!("`cargo metadata` names no {name}"))
        };
        let packages =
            answer.get("packages").and_then(Value::as_array).context("`cargo metadata` lists no packages")?;
        Ok(Self {
            root: text("workspace_root")?,
            target: text("target_directory")?,
            packages: packages
                .iter()
                .map(package)
                .collect::<Option<_>>()
                .context("`cargo metadata` lists an odd package")?,
        })
    }

    /// The top of the repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder, wherever it was pointed to.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Where `up` keeps the server's state and what the chores tell the server: `target/convergence`.
    pub(crate) fn state(&self) -> PathBuf {
        self.target.join("convergence")
    }

    /// Where built components go: `target/components/<kind>/<id>.wasm`.
    pub(crate) fn components(&self) -> PathBuf {
        self.target.join("components")
    }

    /// Every member.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// A `cargo` command that runs at the top of the repository. It shows its progress to people only: in a log, hundreds
    /// of lines about compiled crates bury what matters.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(cargo());
        command.current_dir(&self.root);
        if !io::stderr().is_terminal() {
            command.env("CARGO_TERM_QUIET", "true");
        }
        command
    }
}

/// The Cargo that started this chore, else the one in `PATH`.
fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn package(value: &Value) -> Option<Package> {
    let manifest = PathBuf::from(value.get("manifest_path")?.as_str()?);
    let targets = value.get("targets")?.as_array()?.iter().map(|target| {
        Some(Target { name: target.get("name")?.as_str()?.to_owned(), kinds: strings(target.get("kind")?)? })
    });
    let dependencies = value.get("dependencies")?.as_array()?.iter().map(|dependency| {
        let kind = dependency.get("kind").and_then(Value::as_str).map(str::to_owned);
        Some((dependency.get("name")?.as_str()?.to_owned(), kind))
    });
    Some(Package {
        name: value.get("name")?.as_str()?.to_owned(),
        folder: manifest.parent()?.to_owned(),
        targets: targets.collect::<Option<_>>()?,
        dependencies: dependencies.collect::<Option<_>>()?,
    })
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}
