//! Python: `componentize-py` puts an interpreter, imported and with the project's modules loaded, into a component.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::contract::{self, Contract, pascal};
use super::{BuildError, remove, take, tool, unchanged, write};
use crate::project::Project;

/// The package that makes components.
const PACKAGE: &str = "componentize-py";

/// The author's module.
const MODULE: &str = "src/plugin.py";

/// What every component begins with: see the file.
const GUARD: &str = include_str!("python/guard.py");

/// The folder of a virtual environment in a project.
const ENVIRONMENT: &str = ".venv";

const INSTALL_PYTHON: &str =
    "apt-get install python3 python3-venv      # Debian, Ubuntu; any CPython from 3.10 on will do";
const INSTALL_PACKAGE: &str =
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt      # in the project's folder";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, BuildError> {
    if !project.folder().join(MODULE).is_file() {
        return Err(BuildError::Project(format!("there is no {MODULE}, which is where a plugin in Python begins")));
    }
    let python = Python::find(project.folder())?;
    let contract = Contract::read(project)?;
    let entry = entry(&contract);
    unchanged::or(project, &[PACKAGE, &python.version, GUARD, &entry].join("\n"), || {
        let wit = contract::lay_out(project)?;
        let made = project.build_folder().join("python");
        // A folder of its own: everything in it is on the interpreter's path.
        let modules = made.join("modules");
        write(&modules.join("guard.py"), GUARD.as_bytes())?;
        write(&modules.join("entry.py"), entry.as_bytes())?;
        // For editors and type checkers. What the component has is made anew. The package refuses a folder that is there.
        let bindings = project.build_folder().join("bindings");
        remove(&bindings)?;
        python.run(|command| {
            command.arg("-d").arg(&wit).args(["-w", contract.world(), "bindings"]).arg(&bindings);
        })?;
        let component = made.join("component.wasm");
        python.run(|command| {
            command
                .arg("-d")
                .arg(&wit)
                .args(["-w", contract.world(), "componentize", "--stub-wasi", "-p"])
                .arg(&modules);
            command.args(["-p", "src", "entry", "-o"]).arg(&component);
        })?;
        take(&component)
    })
}

/// An interpreter that has the package.
struct Python<'a> {
    folder: &'a Path,
    program: OsString,
    version: String,
}

impl<'a> Python<'a> {
    /// That of the project's virtual environment, or else the one on the path.
    fn find(folder: &'a Path) -> Result<Self, BuildError> {
        let own = folder.join(ENVIRONMENT).join("bin").join("python");
        let programs = [own.into_os_string(), "python3".into(), "python".into()];
        let ask = format!("import importlib.metadata; print(importlib.metadata.version('{PACKAGE}'))");
        for program in &programs {
            if let Some(version) = tool::probe(Command::new(program).current_dir(folder).args(["-c", &ask])) {
                return Ok(Self { folder, program: program.clone(), version });
            }
        }
        let python = |program| tool::probe(Command::new(program).arg("--version")).is_some();
        Err(if programs.iter().any(python) {
            BuildError::MissingTool { what: format!("the package `{PACKAGE}`"), install: INSTALL_PACKAGE.to_owned() }
        } else {
            BuildError::MissingTool { what: "`python3`".to_owned(), install: INSTALL_PYTHON.to_owned() }
        })
    }

    /// Runs the package's program.
    fn run(&self, arguments: impl FnOnce(&mut Command)) -> Result<(), BuildError> {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder);
        if Path::new(&self.program).is_absolute() {
            // The project's own packages, and not those of an environment that happens to be active.
            command.env("VIRTUAL_ENV", self.folder.join(ENVIRONMENT));
        }
        command.args([
            "-c",
            "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; sys.exit(script())",
        ]);
        command.arg("--quiet");
        arguments(&mut command);
        tool::run(&mut command, INSTALL_PYTHON)
    }
}

/// The module that the component is made of: every export of the world, guarded.
fn entry(contract: &Contract) -> String {
    let mut text = "import plugin\nfrom guard import guarded\n".to_owned();
    for exported in contract.exports() {
        let class = pascal(&exported.interface);
        text.push_str(&format!("\n\nclass {class}(plugin.{class}):\n"));
        for function in exported.functions {
            let name = function.name.replace('-', "_");
            let fails = if function.result.get("result").is_some() { "True" } else { "False" };
            text.push_str(&format!("    {name} = guarded(plugin.{class}, \"{name}\", fails={fails})\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use convergence_sandbox::Kind;

    use super::*;
    use crate::project::Language;

    #[test]
    fn every_export_of_the_world_is_guarded() {
        let folder = tempfile::tempdir().unwrap();
        let project = crate::new(Kind::Template, Language::Python, "x", folder.path()).unwrap();
        let contract = Contract::read(&project).unwrap();
        assert_eq!(contract.world(), "language-template");
        let entry = entry(&contract);
        assert!(entry.contains("class Metadata(plugin.Metadata):\n    describe = guarded("), "{entry}");
        for function in ["languages", "wants", "detect", "plan"] {
            assert!(
                entry.contains(&format!("    {function} = guarded(plugin.Generator, \"{function}\", fails=")),
                "{entry}"
            );
        }
    }
}
