//! JavaScript: `componentize-qjs` puts an engine and the project's modules into a component.

use std::path::Path;
use std::process::Command;

use super::contract::{self, Contract, camel};
use super::{BuildError, take, tool, unchanged, write};
use crate::project::Project;

/// The package that makes components.
const PACKAGE: &str = "componentize-qjs";

/// The author's module.
const MODULE: &str = "src/plugin.js";

/// Run by Node.
const DRIVER: &str = include_str!("javascript/driver.mjs");
/// What every component begins with: see the files.
const WORLD: &str = include_str!("javascript/world.js");
const GUARD: &str = include_str!("javascript/guard.js");

const INSTALL_NODE: &str = "apt-get install nodejs npm       # Debian, Ubuntu; any Node from 18 on will do";
const INSTALL_PACKAGE: &str =
    "npm ci      # in the project's folder; `npm install` where there is no package-lock.json";

pub(super) fn build(project: &Project) -> Result<Vec<u8>, BuildError> {
    if !project.folder().join(MODULE).is_file() {
        return Err(BuildError::Project(format!("there is no {MODULE}, which is where a plugin in JavaScript begins")));
    }
    let version = version(project.folder())?;
    let contract = Contract::read(project)?;
    let log = contract.log().ok_or_else(|| BuildError::Project("the contract in wit/ has no log".to_owned()))?;
    let log = format!("import {{ write }} from '{log}';\n");
    let (world, entry) = (format!("{log}{WORLD}"), entry(&contract, &log));
    unchanged::or(project, &[PACKAGE, &version, DRIVER, &world, GUARD, &entry].join("\n"), || {
        let wit = contract::lay_out(project)?;
        let made = project.build_folder().join("javascript");
        write(&made.join("world.js"), world.as_bytes())?;
        write(&made.join("guard.js"), GUARD.as_bytes())?;
        write(&made.join("entry.js"), entry.as_bytes())?;
        let [plugin, imports] = contract.typescript();
        let types = project.build_folder().join("types");
        write(&types.join("plugin.d.ts"), plugin.as_bytes())?;
        write(&types.join("imports.d.ts"), imports.as_bytes())?;
        let (component, driver) = (made.join("component.wasm"), made.join("driver.mjs"));
        write(&driver, DRIVER.as_bytes())?;
        let mut node = node(project.folder());
        node.arg(&driver).arg(made.join("entry.js")).arg(wit).arg(contract.world()).arg(&component);
        tool::run(&mut node, INSTALL_NODE)?;
        take(&component)
    })
}

fn node(folder: &Path) -> Command {
    let mut node = Command::new("node");
    node.current_dir(folder);
    node
}

/// The version of the package that a module of the project would find.
fn version(folder: &Path) -> Result<String, BuildError> {
    let mut ask = node(folder);
    tool::capture(ask.arg("--version"), INSTALL_NODE)?;
    let program = format!("process.stdout.write(require('{PACKAGE}/package.json').version)");
    let found = tool::probe(node(folder).args(["--eval", &program]));
    found.ok_or_else(|| BuildError::MissingTool {
        what: format!("the package `{PACKAGE}`"),
        install: INSTALL_PACKAGE.to_owned(),
    })
}

/// The module that the component is made of: every export of the world, guarded.
fn entry(contract: &Contract, log: &str) -> String {
    // The plugin comes last: what it relies on is there when its modules are evaluated.
    let mut text = format!(
        "import './world.js';\nimport {{ guarded }} from './guard.js';\n{log}import * as plugin from '../../{MODULE}';\n"
    );
    for exported in contract.exports() {
        let object = camel(&exported.interface);
        text.push_str(&format!("\nexport const {object} = {{\n"));
        for function in exported.functions {
            let name = camel(&function.name);
            let (parameters, result) = (serde_json::Value::from(function.parameters), &function.result);
            text.push_str(&format!(
                "  {name}: guarded(write, plugin.{object}, '{name}', '{object}.{name}', {parameters}, {result}),\n"
            ));
        }
        text.push_str("};\n");
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
    fn every_export_of_the_world_is_guarded_and_knows_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let project = crate::new(Kind::Policy, Language::JavaScript, "x", folder.path()).unwrap();
        let contract = Contract::read(&project).unwrap();
        assert_eq!(contract.world(), "validation-policy");
        assert_eq!(contract.log().as_deref(), Some("convergence:host/log@0.1.0"));
        let entry = entry(&contract, "");
        assert!(
            entry.contains("describe: guarded(write, plugin.metadata, 'describe', 'metadata.describe', [], {"),
            "{entry}"
        );
        assert!(entry.contains(r#""severity":{"enum":["deny","warn"]}"#), "{entry}");
    }
}
