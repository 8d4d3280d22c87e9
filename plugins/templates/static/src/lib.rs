//! The language template for sites of files: the language `site`, for pages that nothing has to build.
//!
//! Its plan has a single stage: the files, and a server for them that the template ships. The template for Node serves
//! what it builds with the same server. Sites that are built from a `package.json` are that template's.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod site;
#[cfg(test)]
mod tests;

/// What a caller may name as a framework.
const FRAMEWORKS: [&str; 1] = ["plain"];

/// Files at the root that belong to another language, whose template knows more about the source.
const OTHER_LANGUAGES: [&str; 4] = ["package.json", "requirements.txt", "pyproject.toml", "go.mod"];

/// The template.
#[derive(Debug)]
pub struct Site;

impl Template for Site {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template(
            "static",
            "Site of files",
            env!("CARGO_PKG_VERSION"),
            "Serves a folder of files: a starter page, or your own pages, scripts and images.",
        )
        .example(
            Example::new("the starter page", "{}", r#"{"tenantName":"my-site","architecture":"amd64","memoryMb":256}"#)
                .expect(r#"{"service":{"command":["node","/app/serve.mjs","/app/site"],"port":3000}}"#),
        )
        .example(
            Example::new(
                "a site in the folder public",
                "{}",
                r#"{"tenantName":"my-site","architecture":"arm64","memoryMb":256,"source":{
                    "paths":["README.md","public/index.html","public/style.css"],"files":[]}}"#,
            )
            .expect(r#"{"service":{"command":["node","/app/serve.mjs","/app/site"]}}"#),
        )
        .example(
            Example::new(
                "a source without pages is refused",
                "{}",
                r#"{"tenantName":"my-site","architecture":"amd64","memoryMb":256,"source":{
                    "paths":["README.md"],"files":[]}}"#,
            )
            .expect(r#"{"error":"invalid-input"}"#),
        )
    }

    fn languages() -> Vec<Language> {
        vec![Language::new("site", FRAMEWORKS, ["1"], [site::DEFAULT_IMAGE])]
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        let Some(source) = &request.source else { return Ok(None) };
        let folder = site::folder(source).filter(|_| !OTHER_LANGUAGES.iter().any(|file| source.has(file)));
        Ok(folder.map(|folder| Detection {
            // Applications in any language have such a file.
            confidence: 40,
            language: "site".to_owned(),
            framework: None,
            version: None,
            reason: format!("it has {}", site::index(folder)),
        }))
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        request.framework_among(&FRAMEWORKS)?;
        site::plan(request)
    }
}

register_template!(Site);
