//! The language template `{{name}}`: how an application becomes an image and a service.
//!
//! As it was made it runs a `main.py` with Python and nothing else. Change `IMAGE`, `plan` and `starter/` into what your
//! language needs; `wit/template/template.wit` says what a plan may hold.

use convergence_plugin_api::template::{
    BuildPlan, Detection, Health, Language, Request, Service, Stage, Template,
};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

/// What applications run on, unless the caller names another image.
const IMAGE: &str = "python:3.12-slim-bookworm";

/// Where they listen inside the container.
const PORT: u16 = 8080;

/// What an application must have.
const MAIN: &str = "main.py";

struct Plugin;

impl Template for Plugin {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template(
            "{{name}}",
            "{{name}}",
            env!("CARGO_PKG_VERSION"),
            "Runs main.py with Python.",
        )
        .example(Example::from_case(include_str!("../cases/starter.json")))
    }

    fn languages() -> Vec<Language> {
        vec![Language::new("{{name}}", ["plain"], ["3.12"], [IMAGE])]
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        let found = request
            .source
            .as_ref()
            .is_some_and(|source| source.has(MAIN));
        Ok(found.then(|| Detection {
            // Others may know more about such an application; they shall win.
            confidence: 40,
            language: "{{name}}".to_owned(),
            framework: None,
            version: None,
            reason: format!("it has a {MAIN}"),
        }))
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        request.framework_among(&["plain"])?;
        let image = request.base_image_or(IMAGE);
        let stage = Stage::from_image("run", &image).workdir("/app");
        let service = |health| Service::new(["python3", MAIN], PORT, health);
        let plan = match &request.source {
            None => BuildPlan::new(service(Health::http("/health")))
                .file(MAIN, include_str!("../starter/main.py"))
                .stage(stage.copy_plan([MAIN], "/app/")),
            Some(source) if source.has(MAIN) => {
                BuildPlan::new(service(Health::tcp())).stage(stage.copy_source(["."], "/app/"))
            }
            Some(_) => {
                return Err(PluginError::invalid_input(
                    MAIN,
                    "there is no main.py; add one that listens on $PORT",
                ));
            }
        };
        Ok(plan.note(format!("{MAIN} on `{image}`.")))
    }
}

register_template!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_is_recognized_by_its_main_file() {
        let detect = |request| Plugin::detect(&request, &NoConfig {}).unwrap();
        assert!(detect(Request::application("demo", [(MAIN, "")])).is_some());
        assert!(detect(Request::application("demo", [("index.html", "")])).is_none());
    }
}
