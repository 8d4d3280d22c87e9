//! What makes components of Python and JavaScript: two packages, each in a folder of its own under `target/tools`, in the
//! versions that the projects of `convergence plugin new` name.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{apt, command};

/// The list of packages that a new Python project begins with.
const PYTHON_PACKAGES: &str = "host/authoring/scaffold/python/shared/requirements.txt";

/// The example whose lock file is installed from; new projects have the same.
const JAVASCRIPT_PROJECT: &str = "plugins/examples/javascript/required-labels";

/// Installs both, where what is there is not what is asked for.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    python(workspace)?;
    javascript(workspace)
}

/// The variables with which the tools are found.
pub(crate) fn variables(workspace: &Workspace) -> Result<[(&'static str, OsString); 2]> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(environment(workspace).join("bin")).chain(env::split_paths(&path));
    let path = env::join_paths(folders).context("PATH cannot be extended")?;
    Ok([("PATH", path), ("NODE_PATH", modules(workspace).join("node_modules").into_os_string())])
}

fn environment(workspace: &Workspace) -> PathBuf {
    workspace.target().join("tools").join("python")
}

fn modules(workspace: &Workspace) -> PathBuf {
    workspace.target().join("tools").join("javascript")
}

fn python(workspace: &Workspace) -> Result<()> {
    let asked = workspace.root().join(PYTHON_PACKAGES);
    environment_of(&environment(workspace), &asked, "componentize-py")
}

/// Makes a virtual environment with the packages of a list, where what is there is not what is asked for.
pub(crate) fn environment_of(folder: &Path, asked: &Path, what: &str) -> Result<()> {
    let installed = folder.join("requirements.txt");
    if same(asked, &installed)? {
        return Ok(());
    }
    apt::ensure("python3", &["python3", "python3-venv"], &format!("Python, for {what},"))?;
    println!("    installing {what} into {}", folder.display());
    command::capture(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder)).context(
        "cannot make a virtual environment; on Debian and Ubuntu the package python3-venv makes it possible",
    )?;
    let mut pip = Command::new(folder.join("bin").join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(asked);
    command::capture(&mut pip)?;
    copy(asked, &installed)
}

fn javascript(workspace: &Workspace) -> Result<()> {
    modules_of(&modules(workspace), &workspace.root().join(JAVASCRIPT_PROJECT), "componentize-qjs")
}

/// Installs the packages of a project's lock file into a folder, where what is there is not what is asked for.
pub(crate) fn modules_of(folder: &Path, project: &Path, what: &str) -> Result<()> {
    let (asked, installed) = (project.join("package-lock.json"), folder.join("package-lock.json"));
    // npm writes this last.
    let complete = folder.join("node_modules").join(".package-lock.json").is_file();
    if complete && same(&asked, &installed)? {
        return Ok(());
    }
    apt::ensure("npm", &["nodejs", "npm"], &format!("npm, to install {what} with,"))?;
    println!("    installing {what} into {}", folder.display());
    command::create_folder(folder)?;
    copy(&project.join("package.json"), &folder.join("package.json"))?;
    copy(&asked, &installed)?;
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    command::capture(&mut npm).map(drop)
}

/// Whether both hold the same; the second may be absent.
fn same(asked: &Path, installed: &Path) -> Result<bool> {
    let asked = fs::read(asked).with_context(|| format!("cannot read {}", asked.display()))?;
    Ok(fs::read(installed).is_ok_and(|installed| installed == asked))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
