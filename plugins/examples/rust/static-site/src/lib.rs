//! An example of a template: the language `static`, for sites made of files.
//!
//! It is what a third party would start from, and what shows that a language is added by one file in the plugins
//! folder. Its plan has a single stage and nothing to install.

use convergence_plugin_api::template::{BuildPlan, Detection, Health, Language, Request, Service, Stage, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

/// Has an interpreter that can serve files, which is all that is needed of it.
const IMAGE: &str = "python:3.12-slim-bookworm";

/// Where the service listens inside its container.
const PORT: u16 = 8080;

/// The template.
#[derive(Debug)]
pub struct StaticSite;

impl Template for StaticSite {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template("static-site", "Static site", env!("CARGO_PKG_VERSION"), "Serves a folder of files.")
            .example(
                Example::new(
                    "the starter page",
                    "{}",
                    r#"{"tenantName":"my-site","architecture":"amd64","memoryMb":256}"#,
                )
                .expect(r#"{"service":{"command":["python3","/app/serve.py"]}}"#),
            )
    }

    fn languages() -> Vec<Language> {
        vec![Language::new("static", ["plain"], ["1"], [IMAGE])]
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        let found = request.source.as_ref().is_some_and(|source| source.has("index.html"));
        Ok(found.then(|| Detection {
            // Many applications have such a file; a template that knows more about them wins.
            confidence: 30,
            language: "static".to_owned(),
            framework: None,
            version: None,
            reason: "it has an index.html".to_owned(),
        }))
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        request.framework_among(&["plain"])?;
        let image = request.base_image_or(IMAGE);
        let stage = Stage::from_image("run", &image).workdir("/app").copy_plan(["serve.py"], "/app/");
        // A site of one's own need not have a file `health`.
        let (stage, health) = match &request.source {
            None => (stage.copy_plan(["site"], "/app/site"), Health::http("/health")),
            Some(_) => (stage.copy_source(["."], "/app/site"), Health::tcp()),
        };
        let mut plan = BuildPlan::new(Service::new(["python3", "/app/serve.py"], PORT, health))
            .file("serve.py", include_str!("../starter/serve.py"))
            .stage(stage)
            .note(format!("Files served by Python on `{image}`."));
        if request.source.is_none() {
            plan = plan
                .file("site/index.html", include_str!("../starter/index.html"))
                .file("site/health", include_str!("../starter/health"));
        }
        Ok(plan)
    }
}

register_template!(StaticSite);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_starter_brings_its_page_and_an_application_its_own() {
        let starter = StaticSite::plan(&Request::starter("demo"), &NoConfig {}).unwrap();
        assert_eq!(starter.files.len(), 3);
        let own = Request::application("demo", [("index.html", "<p>mine")]);
        assert_eq!(StaticSite::plan(&own, &NoConfig {}).unwrap().files.len(), 1);
        assert!(StaticSite::detect(&own, &NoConfig {}).unwrap().is_some());
    }

    #[test]
    fn an_unknown_framework_is_refused() {
        let mut request = Request::starter("demo");
        request.framework = Some("hugo".to_owned());
        assert!(matches!(StaticSite::plan(&request, &NoConfig {}), Err(PluginError::InvalidInput(_))));
    }
}
