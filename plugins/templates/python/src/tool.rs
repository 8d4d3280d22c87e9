//! Tools that install what they locked: the version that is used, and how each one is called.
//!
//! The images have pip alone, so a tool is installed into an environment of its own, at a version that is pinned here
//! and was tried with the command below. Each command fails when the lock file does not fit its manifest, and leaves
//! out the dependencies that only development needs.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{Cache, Source};

use crate::install::{Install, VENV};
use crate::project::{Package, Project};
use crate::service::PYTHON;

/// A tool with a lock file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tool {
    /// uv.
    Uv,
    /// Poetry.
    Poetry,
    /// PDM.
    Pdm,
    /// Pipenv.
    Pipenv,
}

impl Tool {
    const ALL: [Self; 4] = [Self::Uv, Self::Poetry, Self::Pdm, Self::Pipenv];

    /// What pip is asked for. PDM's extra pins what it depends on: releases of those have broken it.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Uv => "uv==0.13.9",
            Self::Poetry => "poetry==2.5.1",
            Self::Pdm => "pdm[locked]==2.29.3",
            Self::Pipenv => "pipenv==2026.10.3",
        }
    }

    /// Manifest and lock file.
    pub(crate) fn files(self) -> [&'static str; 2] {
        match self {
            Self::Uv => ["pyproject.toml", "uv.lock"],
            Self::Poetry => ["pyproject.toml", "poetry.lock"],
            Self::Pdm => ["pyproject.toml", "pdm.lock"],
            Self::Pipenv => ["Pipfile", "Pipfile.lock"],
        }
    }

    /// How the lock file is made.
    pub(crate) fn lock_command(self) -> &'static str {
        match self {
            Self::Uv => "uv lock",
            Self::Poetry => "poetry lock",
            Self::Pdm => "pdm lock",
            Self::Pipenv => "pipenv lock",
        }
    }

    /// Variables of the build stage. Without `VIRTUAL_ENV` a tool makes an environment elsewhere.
    pub(crate) fn env(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Uv => {
                // The cache is on another file system, where links do not reach.
                &[("UV_PROJECT_ENVIRONMENT", VENV), ("UV_PYTHON_DOWNLOADS", "never"), ("UV_LINK_MODE", "copy")]
            }
            Self::Poetry => &[("VIRTUAL_ENV", VENV)],
            Self::Pdm => &[("VIRTUAL_ENV", VENV), ("PDM_CHECK_UPDATE", "false")],
            Self::Pipenv => &[("VIRTUAL_ENV", VENV), ("PIPENV_VERBOSITY", "-1"), ("PIPENV_YES", "1")],
        }
    }

    /// The command that installs, with or without the application itself.
    pub(crate) fn command(self, project: bool) -> Vec<&'static str> {
        let (program, mut argv) = match self {
            Self::Uv => (
                "/opt/tool/bin/uv",
                vec!["sync", "--locked", "--no-dev", "--no-editable", "--no-progress", "--python", PYTHON],
            ),
            Self::Poetry => {
                ("/opt/tool/bin/poetry", vec!["install", "--only", "main", "--no-interaction", "--no-ansi"])
            }
            Self::Pdm => ("/opt/tool/bin/pdm", vec!["install", "--check", "--prod", "--no-editable"]),
            Self::Pipenv => ("/opt/tool/bin/pipenv", vec!["install", "--deploy"]),
        };
        argv.insert(0, program);
        match self {
            Self::Uv if !project => argv.push("--no-install-project"),
            Self::Poetry if !project => argv.push("--no-root"),
            Self::Pdm if !project => argv.push("--no-self"),
            Self::Uv | Self::Poetry | Self::Pdm | Self::Pipenv => {}
        }
        argv
    }

    /// What was downloaded. Only uv and pip lock their caches themselves.
    pub(crate) fn cache(self) -> Cache {
        match self {
            Self::Uv => Cache::shared("uv", "/root/.cache/uv"),
            Self::Poetry => Cache::exclusive("poetry", "/root/.cache/pypoetry"),
            Self::Pdm => Cache::exclusive("pdm", "/root/.cache/pdm"),
            Self::Pipenv => Cache::exclusive("pipenv", "/root/.cache/pipenv"),
        }
    }
}

/// What is to be installed, with notes on why.
///
/// # Errors
///
/// Invalid input where lock files contradict each other or one is missing.
pub(crate) fn what_to_install(source: &Source, project: &Project) -> Result<(Install, Vec<String>), PluginError> {
    let locks: Vec<Tool> = Tool::ALL.into_iter().filter(|tool| source.has(tool.files()[1])).collect();
    // A folder of requirements is older than a lock file next to it; requirements.txt is also what tools export.
    let beside = |file: &&str| *file == "requirements.txt" || (locks.is_empty() && project.package.is_none());
    if let Some(file) = project.requirements_file.filter(beside) {
        let mut notes = vec![format!("Dependencies: {file}, installed by pip.")];
        for tool in &locks {
            let lock = tool.files()[1];
            notes.push(format!(
                "{lock} is ignored, because requirements.txt is there as well. To use {lock}, delete requirements.txt."
            ));
        }
        let install =
            if project.requirements_refer { Install::RequirementsAndSource(file) } else { Install::Requirements(file) };
        return Ok((install, notes));
    }
    let package = project.package.as_ref();
    match locks.as_slice() {
        [] => {}
        [tool] => return locked(*tool, source, package),
        [first, second, ..] => {
            let (first, second) = (first.files()[1], second.files()[1]);
            return Err(PluginError::invalid_input(
                second,
                format!("{first} and {second} are both there; delete the one that you no longer use"),
            ));
        }
    }
    if let Some(package) = package {
        return Ok(from_pyproject(source, package));
    }
    if source.has("Pipfile") {
        return Err(PluginError::invalid_input(
            "Pipfile",
            "Pipfile has no Pipfile.lock; run `pipenv lock` and commit Pipfile.lock",
        ));
    }
    if source.has("setup.py") {
        let note = "Dependencies: setup.py, installed by pip with the application. Versions may differ from build to \
                    build; pin them in a requirements.txt.";
        return Ok((Install::Project, vec![note.to_owned()]));
    }
    let note = "Nothing to install: there is no requirements.txt, pyproject.toml, Pipfile or setup.py.";
    Ok((Install::Nothing, vec![note.to_owned()]))
}

fn locked(tool: Tool, source: &Source, package: Option<&Package>) -> Result<(Install, Vec<String>), PluginError> {
    let [manifest, lock] = tool.files();
    if !source.has(manifest) || (manifest == "pyproject.toml" && package.is_none()) {
        return Err(PluginError::invalid_input(
            manifest,
            format!("{lock} is there, but {manifest} describes no project; commit the {manifest} that belongs to it"),
        ));
    }
    let default = Package::default();
    let package = package.unwrap_or(&default);
    let project = match tool {
        Tool::Uv | Tool::Pdm => package.is_package.unwrap_or(package.builds),
        Tool::Poetry => is_poetry_package(source, package),
        Tool::Pipenv => false,
    };
    // A Pipfile may name folders as well, which are not looked for.
    let whole_source = project || package.uv_uses_folders || tool == Tool::Pipenv;
    let what = if project { " with the application" } else { "" };
    let note = format!(
        "Dependencies: {lock}, installed by `{}`{what}, without those for development. A lock file that does not fit \
         {manifest} fails the build; run `{}` then.",
        tool.package(),
        tool.lock_command()
    );
    Ok((Install::Locked { tool, project, whole_source }, vec![note]))
}

fn from_pyproject(source: &Source, package: &Package) -> (Install, Vec<String>) {
    const UNPINNED: &str = "Versions may differ from build to build; commit a lock file to pin them.";
    if package.poetry {
        let project = is_poetry_package(source, package);
        let note = format!(
            "Dependencies: pyproject.toml, installed by `{}`. There is no poetry.lock. {UNPINNED}",
            Tool::Poetry.package()
        );
        let install = Install::Locked { tool: Tool::Poetry, project, whole_source: project };
        return (install, vec![note]);
    }
    match &package.dependencies {
        // Without a build system, setuptools would guess what the package is and fail on two folders.
        Some(dependencies) if !package.builds => {
            let note = format!(
                "Dependencies: project.dependencies of pyproject.toml, installed by pip. The project itself is not \
                 installed, because pyproject.toml has no `build-system`. {UNPINNED}"
            );
            let install =
                if dependencies.is_empty() { Install::Nothing } else { Install::Listed(dependencies.clone()) };
            (install, vec![note])
        }
        _ => {
            let note = format!("Dependencies: pyproject.toml, installed by pip with the application. {UNPINNED}");
            (Install::Project, vec![note])
        }
    }
}

/// Whether Poetry can install the application itself. It fails where it finds no package of the project's name.
fn is_poetry_package(source: &Source, package: &Package) -> bool {
    let name = &package.name;
    package.poetry_package.unwrap_or_else(|| {
        !name.is_empty()
            && (source.has_folder(name)
                || source.has_folder(&format!("src/{name}"))
                || source.has(&format!("{name}.py"))
                || source.has(&format!("src/{name}.py")))
    })
}
