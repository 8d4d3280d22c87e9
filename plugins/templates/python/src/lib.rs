//! The language template for Python: a FastAPI starter, or an application of one's own.
//!
//! Dependencies go into a virtual environment at `/app/.venv` in a stage of their own; the running image gets the
//! environment without pip. Build and run stage use the same image, so the environment's interpreter is the same.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Source, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod application;
mod django;
mod install;
mod place;
mod project;
mod search;
mod service;
mod start;
mod starter;
mod system;
#[cfg(test)]
mod tests;
mod tool;
mod version;

use place::Place;
use project::Project;

/// Frameworks that a caller may name; the first is the starter's.
const FRAMEWORKS: [&str; 4] = ["fastapi", "django", "flask", "streamlit"];

/// Files that are read wherever an application may be.
const READ: [&str; 7] = [
    "*requirements*.txt",
    "requirements/*.txt",
    "pyproject.toml",
    "Pipfile",
    ".python-version",
    "runtime.txt",
    "manage.py",
];

/// The template.
#[derive(Debug)]
pub struct Python;

impl Template for Python {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template(
            "python",
            "Python",
            env!("CARGO_PKG_VERSION"),
            "Runs Python applications: a FastAPI starter, or your own with pip, uv, Poetry, PDM or Pipenv.",
        )
        .example(
            Example::new(
                "the FastAPI starter",
                "{}",
                r#"{"tenantName":"my-app","framework":"fastapi","architecture":"amd64","memoryMb":512}"#,
            )
            .expect(r#"{"service":{"command":["/app/.venv/bin/python","main.py"],"port":3000}}"#),
        )
        .example(
            Example::new(
                "a Flask application",
                "{}",
                r#"{"tenantName":"my-app","architecture":"arm64","memoryMb":512,"source":{
                    "paths":["app.py","requirements.txt"],
                    "files":[{"path":"app.py","contents":"app = Flask(__name__)\n","executable":false},
                             {"path":"requirements.txt","contents":"flask==3.1.0\n","executable":false}]}}"#,
            )
            .expect(
                r#"{"service":{"command":["/app/.venv/bin/python","-m","gunicorn","app:app","--bind","0.0.0.0:3000",
                    "--threads","4"]}}"#,
            ),
        )
        .example(
            Example::new(
                "an unknown framework is refused",
                "{}",
                r#"{"tenantName":"my-app","framework":"rails","architecture":"amd64","memoryMb":512}"#,
            )
            .expect(r#"{"error":"invalid-input"}"#),
        )
    }

    fn languages() -> Vec<Language> {
        vec![Language::new("python", FRAMEWORKS, version::KNOWN.map(|(_, text)| text), [version::DEFAULT_IMAGE])]
    }

    fn wants() -> Vec<String> {
        let mut patterns: Vec<String> = Vec::new();
        for depth in 0..=place::DEPTH + search::DEPTH {
            let folder = format!("/{}", "*/".repeat(depth));
            if depth <= place::DEPTH + 1 {
                patterns.extend(READ.iter().map(|name| format!("{folder}{name}")));
                patterns.extend(["settings.py", "settings/*.py"].map(|name| format!("{folder}*/{name}")));
            }
            let pages =
                start::STREAMLIT_PAGES.iter().filter(|page| !page.contains('/') && !search::NAMES.contains(page));
            patterns.extend(search::NAMES.iter().chain(pages).map(|name| format!("{folder}{name}")));
        }
        patterns.sort();
        patterns.dedup();
        patterns
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        request.source.as_ref().map_or(Ok(None), detect)
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        let framework = request.framework_among(&FRAMEWORKS)?;
        match &request.source {
            None if framework.is_some_and(|framework| framework != FRAMEWORKS[0]) => Err(PluginError::invalid_input(
                "framework",
                "the only starter is FastAPI's; leave the framework out, or give the source of an application",
            )),
            None => Ok(starter::plan(request)),
            Some(source) => application::plan(request, source, framework),
        }
    }
}

register_template!(Python);

/// How sure folders make us of which none can be chosen: enough that a plan is asked for and says so, where no other
/// language recognizes the source.
const SEVERAL_FOLDERS: u8 = 20;

fn detect(source: &Source) -> Result<Option<Detection>, PluginError> {
    let found = |confidence: u8, reason: String| Detection {
        confidence,
        language: "python".to_owned(),
        framework: None,
        version: None,
        reason,
    };
    let Ok(place) = Place::find(source) else {
        return Ok(Some(found(SEVERAL_FOLDERS, "several of its folders hold a Python application".to_owned())));
    };
    let Some((mark, confidence)) = place.mark else {
        return Ok(None);
    };
    let recognized = || -> Result<_, PluginError> {
        let project = Project::read(&place.source)?;
        let version = version::asked_for(&place.source, &project)?.map(|asked| asked.text);
        Ok((start::framework(&place.source, &project), version))
    };
    let detection = found(confidence, format!("it has a {}", place.full(mark)));
    match recognized() {
        Ok((framework, version)) => Ok(Some(Detection {
            framework: framework.map(str::to_owned),
            version,
            reason: match framework {
                Some(framework) => format!("{} and depends on {framework}", detection.reason),
                None => detection.reason.clone(),
            },
            ..detection
        })),
        // A folder may be a small part of another language's source: its faults are told where it is planned.
        Err(_) if place.folder.is_some() => Ok(Some(detection)),
        Err(error) => Err(error),
    }
}
