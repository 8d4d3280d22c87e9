//! An application of the tenant's own.

use convergence_plugin_api::PluginError;
use convergence_plugin_api::template::{BuildPlan, Origin, Request, Source};

use crate::install::{self, Install};
use crate::project::Project;
use crate::service::{PORT, PYTHON, run_stage, service, tcp_health};
use crate::version;

/// Files in which a FastAPI application is looked for, with the module that each one is.
pub(crate) const MODULES: [(&str, &str); 5] = [
    ("main.py", "main"),
    ("app.py", "app"),
    ("server.py", "server"),
    ("app/main.py", "app.main"),
    ("src/main.py", "src.main"),
];

/// Lock files of tools that the images do not have, with the command that exports what pip reads.
const OTHER_LOCKS: [(&str, &str); 4] = [
    ("uv.lock", "uv export --format requirements-txt --output-file requirements.txt"),
    ("poetry.lock", "poetry export --output requirements.txt"),
    ("pdm.lock", "pdm export --output requirements.txt"),
    ("Pipfile.lock", "pipenv requirements > requirements.txt"),
];

/// Plans the build of an application.
///
/// # Errors
///
/// Invalid input where the source contradicts itself or the request, unsupported where it needs other tools.
pub(crate) fn plan(request: &Request, source: &Source, framework: Option<&str>) -> Result<BuildPlan, PluginError> {
    let project = Project::read(source)?;
    if let Some(framework) = framework
        && project.framework() != Some(framework)
    {
        return Err(PluginError::invalid_input(
            "framework",
            format!(
                "neither requirements.txt nor pyproject.toml asks for `{framework}`; add it, or leave the framework out"
            ),
        ));
    }
    if source.has_folder(".venv") {
        return Err(PluginError::invalid_input(
            ".venv",
            "the source contains a virtual environment, which works only where it was made; leave it out",
        ));
    }
    let install = what_to_install(source, &project)?;
    let (image, why) = match &request.base_image {
        Some(image) => (image.clone(), "as asked for".to_owned()),
        None => version::image(version::asked_for(source, &project)?.as_ref())?,
    };
    let command = command(request, source, &project)?;
    let run = run_stage(&image).copy_source(["."], "/app/").copy_stage(install::STAGE, ["/app/.venv"], "/app/.venv");
    Ok(BuildPlan::new(service(&command, tcp_health()))
        .stage(install::stage(request, &image, Origin::Source, install))
        .stage(run)
        .note(format!("Base image `{image}`: {why}."))
        .note(match install {
            Install::Nothing => "Nothing to install: there is neither a requirements.txt nor a project to install.",
            Install::Project => {
                "Installed as pyproject.toml or setup.py says: dependencies may differ from build to build. Pin them in \
                 a requirements.txt."
            }
            Install::Requirements | Install::RequirementsAndSource => "Dependencies as in requirements.txt.",
        })
        .note(format!("Started with `{}`.", command.join(" "))))
}

fn what_to_install(source: &Source, project: &Project) -> Result<Install, PluginError> {
    if source.has("requirements.txt") {
        return Ok(if project.requirements_refer { Install::RequirementsAndSource } else { Install::Requirements });
    }
    if let Some((lock, export)) = OTHER_LOCKS.into_iter().find(|(lock, _)| source.has(lock)) {
        return Err(PluginError::unsupported(format!(
            "{lock} is read by a tool that this template does not have; installing without it would give other versions. \
             Run `{export}` and commit requirements.txt"
        )));
    }
    let installable = project.installable || source.has("setup.py");
    Ok(if installable { Install::Project } else { Install::Nothing })
}

/// A process `web`, else uvicorn for a FastAPI application, else a file with a usual name.
fn command(request: &Request, source: &Source, project: &Project) -> Result<Vec<String>, PluginError> {
    if let Some(argv) = request.process_command("web", PORT)? {
        return Ok(argv);
    }
    if project.framework() == Some("fastapi")
        && let Some(target) = fastapi_target(source)?
    {
        if !project.has_uvicorn() {
            return Err(PluginError::invalid_input(
                "requirements.txt",
                "FastAPI needs a server to run in; add `uvicorn` to the dependencies",
            ));
        }
        let port = PORT.to_string();
        let argv = [PYTHON, "-m", "uvicorn", &target, "--host", "0.0.0.0", "--port", &port];
        return Ok(argv.map(str::to_owned).to_vec());
    }
    match MODULES.into_iter().find(|(path, _)| source.has(path)) {
        Some((path, _)) => Ok(vec![PYTHON.to_owned(), path.to_owned()]),
        None => Err(PluginError::invalid_input(
            "processes.web",
            "nothing says how the application is started; name a `web` process, such as `python -m mysite`, in a Procfile",
        )),
    }
}

/// `module:variable` of the first `variable = FastAPI(` that is found.
fn fastapi_target(source: &Source) -> Result<Option<String>, PluginError> {
    for (path, module) in MODULES {
        let text = source.text(path)?.unwrap_or_default();
        for line in text.lines() {
            let Some((left, right)) = line.split_once('=') else { continue };
            // A type may stand between: `app: FastAPI = FastAPI()`.
            let name = left.split(':').next().unwrap_or_default().trim_end();
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if is_name && ["FastAPI(", "fastapi.FastAPI("].iter().any(|call| right.trim_start().starts_with(call)) {
                return Ok(Some(format!("{module}:{name}")));
            }
        }
    }
    Ok(None)
}
