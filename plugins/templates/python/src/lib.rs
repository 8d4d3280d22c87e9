//! The language template for Python: a FastAPI starter, or an application of one's own, installed by pip.
//!
//! Dependencies go into a virtual environment at `/app/.venv` in a stage of their own; the running image gets the
//! environment without pip. Build and run stage use the same image, so the environment's interpreter is the same.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Source, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod application;
mod install;
mod project;
mod service;
mod starter;
#[cfg(test)]
mod tests;
mod version;

/// Frameworks that a caller may name; the first is the starter's.
const FRAMEWORKS: [&str; 1] = ["fastapi"];

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
            "Runs Python applications: a FastAPI starter, or your own with its requirements.txt honoured.",
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
                "an application with requirements",
                "{}",
                r#"{"tenantName":"my-app","architecture":"arm64","memoryMb":512,"source":{
                    "paths":["main.py","requirements.txt"],
                    "files":[{"path":"main.py","contents":"","executable":false},
                             {"path":"requirements.txt","contents":"flask==3.1.0\n","executable":false}]}}"#,
            )
            .expect(r#"{"service":{"command":["/app/.venv/bin/python","main.py"]}}"#),
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
        ["/requirements.txt", "/pyproject.toml", "/.python-version", "/runtime.txt"]
            .into_iter()
            .map(str::to_owned)
            .chain(application::MODULES.map(|(path, _)| format!("/{path}")))
            .collect()
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        request.source.as_ref().map_or(Ok(None), detect)
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        let framework = request.framework_among(&FRAMEWORKS)?;
        match &request.source {
            None => Ok(starter::plan(request)),
            Some(source) => application::plan(request, source, framework),
        }
    }
}

register_template!(Python);

/// Files that only a Python application has, with how sure each one makes us.
const MARKS: [(&str, u8); 7] = [
    ("pyproject.toml", 95),
    ("requirements.txt", 90),
    ("Pipfile", 90),
    ("setup.py", 90),
    ("manage.py", 80),
    ("main.py", 60),
    ("app.py", 60),
];

fn detect(source: &Source) -> Result<Option<Detection>, PluginError> {
    let Some((mark, confidence)) = MARKS.into_iter().find(|(mark, _)| source.has(mark)) else {
        return Ok(None);
    };
    let project = project::Project::read(source)?;
    let framework = project.framework();
    Ok(Some(Detection {
        confidence,
        language: "python".to_owned(),
        framework: framework.map(str::to_owned),
        version: version::asked_for(source, &project)?.map(|asked| asked.text),
        reason: match framework {
            Some(framework) => format!("it has a {mark} and depends on {framework}"),
            None => format!("it has a {mark}"),
        },
    }))
}
