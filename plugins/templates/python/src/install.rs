//! The stage that makes the virtual environment.

use convergence_plugin_api::template::{Cache, Origin, Request, Stage};

use crate::service::PYTHON;

/// The stage's name.
pub(crate) const STAGE: &str = "dependencies";

/// What pip is to install.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Install {
    /// Nothing.
    Nothing,
    /// `requirements.txt`, which stands alone.
    Requirements,
    /// `requirements.txt`, which refers to other files of the source.
    RequirementsAndSource,
    /// The application itself, as `pyproject.toml` or `setup.py` says.
    Project,
}

/// A virtual environment with what is to be installed, and without pip, which nothing needs at run time.
pub(crate) fn stage(request: &Request, image: &str, origin: Origin, install: Install) -> Stage {
    let mut stage = Stage::from_image(STAGE, image).workdir("/app").run(["python3", "-m", "venv", "/app/.venv"]);
    stage = request.build_args.iter().fold(stage, |stage, arg| stage.env(&arg.key, &arg.value));
    stage = match install {
        Install::Nothing => stage,
        Install::Requirements => pip(stage.copy(origin, ["requirements.txt"], "/app/"), &["-r", "requirements.txt"]),
        Install::RequirementsAndSource => pip(stage.copy(origin, ["."], "/app/"), &["-r", "requirements.txt"]),
        Install::Project => pip(stage.copy(origin, ["."], "/app/"), &["."]),
    };
    stage.run([PYTHON, "-m", "pip", "uninstall", "--yes", "--quiet", "pip"])
}

fn pip(stage: Stage, what: &[&str]) -> Stage {
    let argv = [PYTHON, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"];
    stage.run_with_caches(argv.iter().chain(what), [Cache::shared("pip", "/root/.cache/pip")])
}
