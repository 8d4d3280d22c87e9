//! The stage that makes the virtual environment.

use convergence_plugin_api::template::{Cache, Origin, Request, Stage};

use crate::place::Place;
use crate::service::PYTHON;
use crate::tool::Tool;

/// The stage's name.
pub(crate) const STAGE: &str = "dependencies";

/// The virtual environment.
pub(crate) const VENV: &str = "/app/.venv";

/// The interpreter of the tool's own environment, which does not reach the image that runs.
const TOOL_PYTHON: &str = "/opt/tool/bin/python";

/// What is to be installed, and how.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Install {
    /// Nothing.
    Nothing,
    /// A file of requirements, which stands alone.
    Requirements(&'static str),
    /// A file of requirements, which refers to other files of the source.
    RequirementsAndSource(&'static str),
    /// These requirements, which `pyproject.toml` lists. The project itself is not installed.
    Listed(Vec<String>),
    /// The application itself, as `pyproject.toml` or `setup.py` says.
    Project,
    /// What another tool locked.
    Locked {
        /// Which tool.
        tool: Tool,
        /// Whether the application itself is installed as well.
        project: bool,
        /// Whether the tool needs the whole source and not its own files alone.
        whole_source: bool,
    },
}

/// The file of the plan that holds [`Install::Listed`].
pub(crate) const LISTED: &str = "dependencies.txt";

/// A virtual environment with what is to be installed and, where the source lacks one, a web server. pip is not in it:
/// nothing needs it at run time.
pub(crate) fn stage(
    request: &Request,
    image: &str,
    origin: &Origin,
    place: &Place,
    install: &Install,
    server: Option<&str>,
) -> Stage {
    let start = Stage::from_image(STAGE, image).workdir("/app");
    let with_args = |stage: Stage| request.build_args.iter().fold(stage, |stage, arg| stage.env(&arg.key, &arg.value));
    if let Install::Locked { tool, project, whole_source } = install {
        // Before anything is downloaded: an argument may name the index to download from.
        let stage = with_args(start.run(["python3", "-m", "venv", "/opt/tool"]))
            .run_with_caches(pip(TOOL_PYTHON).chain(["install", tool.package()]), [pip_cache()])
            .run(["python3", "-m", "venv", "--without-pip", VENV]);
        let stage = tool.env().iter().fold(stage, |stage, (key, value)| stage.env(key, value));
        let files: Vec<String> = if *whole_source {
            vec![place.full(".")]
        } else {
            tool.files().iter().filter(|file| place.source.has(file)).map(|file| place.full(file)).collect()
        };
        let stage = stage.copy(origin.clone(), files, "/app/").run_with_caches(tool.command(*project), [tool.cache()]);
        let add = |server| pip(TOOL_PYTHON).chain(["--python", PYTHON, "install", server]);
        return server.into_iter().fold(stage, |stage, server| stage.run_with_caches(add(server), [pip_cache()]));
    }
    let stage = with_args(start.run(["python3", "-m", "venv", VENV]));
    let install = match install {
        Install::Requirements(file) => {
            let name = file.rsplit('/').next().unwrap_or(file);
            stage
                .copy(origin.clone(), [place.full(file)], "/app/")
                .run_with_caches(pip(PYTHON).chain(["install", "-r", name]), [pip_cache()])
        }
        Install::RequirementsAndSource(file) => stage
            .copy(origin.clone(), [place.full(".")], "/app/")
            .run_with_caches(pip(PYTHON).chain(["install", "-r", *file]), [pip_cache()]),
        Install::Listed(_) => stage
            .copy_plan([LISTED], "/opt/")
            .run_with_caches(pip(PYTHON).chain(["install", "-r", "/opt/dependencies.txt"]), [pip_cache()]),
        Install::Project => stage
            .copy(origin.clone(), [place.full(".")], "/app/")
            .run_with_caches(pip(PYTHON).chain(["install", "."]), [pip_cache()]),
        Install::Nothing | Install::Locked { .. } => stage,
    };
    // A step of its own: pip installs a file of hashes only where everything it is given has one.
    server
        .into_iter()
        .fold(install, |stage, server| stage.run_with_caches(pip(PYTHON).chain(["install", server]), [pip_cache()]))
        .run([PYTHON, "-m", "pip", "uninstall", "--yes", "--quiet", "pip"])
}

fn pip(python: &str) -> impl Iterator<Item = &str> {
    [python, "-m", "pip", "--no-input", "--disable-pip-version-check"].into_iter()
}

fn pip_cache() -> Cache {
    Cache::shared("pip", "/root/.cache/pip")
}
