//! What the template answers, as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use convergence_plugin_api::template::{Base, BuildPlan, Origin, Probe, Request, Stage, Step, Template};
use convergence_plugin_api::{Attribute, NoConfig, PluginError};

use crate::Python;

mod frameworks;
mod locks;

const API: &str = "from fastapi import FastAPI\n\napi: FastAPI = FastAPI(title='x')\n";

fn plan(request: &Request) -> BuildPlan {
    Python::plan(request, &NoConfig {}).unwrap()
}

fn refused_at(request: &Request) -> String {
    match Python::plan(request, &NoConfig {}) {
        Err(PluginError::InvalidInput(errors)) => errors[0].path.clone(),
        other => panic!("not refused as invalid input: {other:?}"),
    }
}

fn commands(stage: &Stage) -> Vec<String> {
    let argv = |step: &Step| match step {
        Step::Run(run) => Some(run.argv.join(" ")),
        _ => None,
    };
    stage.steps.iter().filter_map(argv).collect()
}

fn copies(stage: &Stage) -> Vec<(Origin, String)> {
    let paths = |step: &Step| match step {
        Step::Copy(copy) => Some((copy.origin.clone(), copy.paths.join(" "))),
        _ => None,
    };
    stage.steps.iter().filter_map(paths).collect()
}

fn notes(plan: &BuildPlan) -> String {
    plan.notes.join("\n")
}

const PIP: &str = "/app/.venv/bin/python -m pip --no-input --disable-pip-version-check install";

#[test]
fn the_starter_is_installed_apart_from_what_runs() {
    let plan = plan(&Request::starter("demo"));
    assert!(plan.stages.iter().all(|stage| stage.base == Base::Image("python:3.12-slim-bookworm".into())));
    assert_eq!(
        commands(&plan.stages[0]),
        [
            "python3 -m venv /app/.venv",
            &format!("{PIP} -r requirements.txt"),
            "/app/.venv/bin/python -m pip uninstall --yes --quiet pip"
        ]
    );
    assert_eq!(commands(&plan.stages[1]), [""; 0]);
    assert_eq!(plan.service.command, ["/app/.venv/bin/python", "main.py"]);
    assert_eq!(plan.service.health.probe, Probe::Http("/health".into()));
    assert!(plan.stages[1].steps.contains(&Step::PrependPath("/app/.venv/bin".into())));
}

#[test]
fn the_starter_pins_everything() {
    let text = include_str!("../starter/requirements.txt");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() > 5 && lines.iter().all(|line| line.contains("==")), "{lines:?}");
}

#[test]
fn a_base_image_replaces_the_one_of_every_stage() {
    let mut request = Request::starter("demo");
    request.base_image = Some("python:3.13".into());
    assert!(plan(&request).stages.iter().all(|stage| stage.base == Base::Image("python:3.13".into())));
}

#[test]
fn an_unknown_framework_is_refused() {
    let mut request = Request::starter("demo");
    request.framework = Some("rails".into());
    assert_eq!(refused_at(&request), "framework");
}

#[test]
fn a_fastapi_application_runs_in_uvicorn() {
    let requirements = "# web\nFastAPI==0.115.0\nuvicorn[standard]>=0.30\n";
    let request = Request::application(
        "demo",
        [("app/main.py", API), ("requirements.txt", requirements), (".python-version", "3.11.4\n")],
    );
    let plan = plan(&request);
    assert!(plan.stages.iter().all(|stage| stage.base == Base::Image("python:3.11-slim-bookworm".into())));
    assert_eq!(
        plan.service.command.join(" "),
        "/app/.venv/bin/python -m uvicorn app.main:api --host 0.0.0.0 --port 3000"
    );
    assert_eq!(copies(&plan.stages[0]), [(Origin::Source, "requirements.txt".to_owned())]);
    assert_eq!(
        copies(&plan.stages[1]),
        [(Origin::Source, ".".to_owned()), (Origin::Stage("dependencies".into()), "/app/.venv".to_owned())]
    );
    assert_eq!(plan.service.health.probe, Probe::Tcp);
}

#[test]
fn fastapi_without_a_server_gets_one() {
    let files = [("main.py", API), ("requirements.txt", "fastapi\n")];
    let with = plan(&Request::application("demo", files));
    assert!(commands(&with.stages[0]).contains(&format!("{PIP} uvicorn==0.54.0")));
    assert!(notes(&with).contains("`uvicorn==0.54.0` is installed in addition"));
    let files = [("main.py", API), ("requirements.txt", "fastapi[standard]\n")];
    let own = plan(&Request::application("demo", files));
    assert!(own.service.command.contains(&"main:api".to_owned()));
    assert!(!commands(&own.stages[0]).concat().contains("uvicorn=="));
}

#[test]
fn requirements_that_refer_to_files_are_installed_with_the_source() {
    let request = Request::application("demo", [("app.py", ""), ("requirements.txt", "-r base.txt\n")]);
    assert_eq!(copies(&plan(&request).stages[0]), [(Origin::Source, ".".to_owned())]);
}

#[test]
fn a_project_is_installed_where_it_says_how_it_is_built() {
    let listed =
        "[project]\nname='x'\nrequires-python='>=3.13'\ndependencies=['flask>=3', 'x[a]; python_version>\"3\"']\n";
    let mut request = Request::application("demo", [("pyproject.toml", listed), ("app.py", "")]);
    request.build_args = vec![Attribute::new("EXTRA", "1")];
    let only = plan(&request);
    assert!(only.stages.iter().all(|stage| stage.base == Base::Image("python:3.13-slim-bookworm".into())));
    assert_eq!(commands(&only.stages[0])[1], format!("{PIP} -r /opt/dependencies.txt"));
    assert_eq!(copies(&only.stages[0]), [(Origin::Plan, "dependencies.txt".to_owned())]);
    assert_eq!(only.files[0].contents, b"flask>=3\nx[a]; python_version>\"3\"\n");
    assert!(only.stages[0].steps.contains(&Step::Env(Attribute::new("EXTRA", "1"))));

    let built = format!("{listed}[build-system]\nrequires=['hatchling']\n");
    let request = Request::application("demo", [("pyproject.toml", built.as_str()), ("app.py", "")]);
    assert_eq!(commands(&plan(&request).stages[0])[1], format!("{PIP} ."));
    let dynamic = "[project]\nname='x'\ndynamic=['dependencies']\n";
    let request = Request::application("demo", [("pyproject.toml", dynamic), ("app.py", "")]);
    assert_eq!(commands(&plan(&request).stages[0])[1], format!("{PIP} ."));
}

#[test]
fn a_procfile_wins() {
    let mut request = Request::application("demo", [("requirements.txt", "gunicorn\n")]);
    assert_eq!(refused_at(&request), "processes.web");
    request.processes = vec![Attribute::new("web", "gunicorn --bind 0.0.0.0:$PORT site:app")];
    assert_eq!(plan(&request).service.command, ["gunicorn", "--bind", "0.0.0.0:3000", "site:app"]);
}

#[test]
fn sources_that_cannot_be_built_are_refused_with_the_reason() {
    assert_eq!(refused_at(&Request::application("demo", [("pyproject.toml", "[project")])), "pyproject.toml");
    assert_eq!(refused_at(&Request::application("demo", [("main.py", ""), (".venv/pyvenv.cfg", "")])), ".venv");
    let mut other = Request::application("demo", [("main.py", "")]);
    other.framework = Some("fastapi".into());
    assert_eq!(refused_at(&other), "framework");
}

#[test]
fn an_old_version_is_unsupported_unless_a_base_image_has_it() {
    let mut request = Request::application("demo", [("main.py", ""), ("runtime.txt", "python-2.7.18")]);
    assert!(matches!(Python::plan(&request, &NoConfig {}), Err(PluginError::Unsupported(_))));
    request.base_image = Some("python:2.7".into());
    assert!(Python::plan(&request, &NoConfig {}).is_ok());
}

#[test]
fn a_source_is_recognized_by_its_files() {
    let detect = |request: &Request| Python::detect(request, &NoConfig {}).unwrap();
    assert_eq!(detect(&Request::starter("demo")), None);
    assert_eq!(detect(&Request::application("demo", [("go.mod", "")])), None);
    let project = "[tool.poetry.dependencies]\npython='^3.11'\nfastapi='*'\n";
    let found = detect(&Request::application("demo", [("pyproject.toml", project)])).unwrap();
    assert_eq!((found.framework.as_deref(), found.version.as_deref()), (Some("fastapi"), Some("^3.11")));
}
