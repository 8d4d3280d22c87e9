//! The language template for Go: a starter on the standard library, or an application of one's own.
//!
//! The program is built without cgo, so that it runs on an empty image: what runs is one static binary, the
//! certificates it needs to call others, and folders of assets.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Source, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod application;
mod build;
mod module;
mod place;
mod program;
mod starter;
#[cfg(test)]
mod tests;

/// Frameworks that a caller may name; the first is the starter's.
const FRAMEWORKS: [&str; 1] = ["stdlib"];

/// The template.
#[derive(Debug)]
pub struct Go;

impl Template for Go {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template(
            "go",
            "Go",
            env!("CARGO_PKG_VERSION"),
            "Runs Go applications as one static binary: a net/http starter, or your own with its go.sum honoured.",
        )
        .example(
            Example::new(
                "the starter on the standard library",
                "{}",
                r#"{"tenantName":"my-app","framework":"stdlib","architecture":"amd64","memoryMb":256}"#,
            )
            .expect(r#"{"service":{"command":["/app/server"],"port":3000}}"#),
        )
        .example(
            Example::new(
                "an application with its program in cmd",
                "{}",
                r#"{"tenantName":"my-app","architecture":"arm64","memoryMb":256,"source":{
                    "paths":["cmd/api/main.go","go.mod"],
                    "files":[{"path":"go.mod","contents":"module example.com/x\n\ngo 1.22\n","executable":false}]}}"#,
            )
            .expect(r#"{"service":{"command":["/app/server"]}}"#),
        )
        .example(
            Example::new(
                "an unknown framework is refused",
                "{}",
                r#"{"tenantName":"my-app","framework":"rails","architecture":"amd64","memoryMb":256}"#,
            )
            .expect(r#"{"error":"invalid-input"}"#),
        )
    }

    fn languages() -> Vec<Language> {
        vec![Language::new("go", FRAMEWORKS, build::KNOWN.map(|(_, text)| text), [build::DEFAULT_IMAGE])]
    }

    fn wants() -> Vec<String> {
        // Programs are found by their `package main`: in `main.go` anywhere near, and in any file where one is usual.
        let mut patterns: Vec<String> = Vec::new();
        for depth in 0..=place::DEPTH {
            let folder = format!("/{}", "*/".repeat(depth));
            patterns.extend(["go.mod", "*.go", "cmd/*/*.go"].map(|name| format!("{folder}{name}")));
        }
        patterns.push("main.go".to_owned());
        patterns
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        request.source.as_ref().map_or(Ok(None), detect)
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        request.framework_among(&FRAMEWORKS)?;
        match &request.source {
            None => Ok(starter::plan(request)),
            Some(source) => application::plan(request, source),
        }
    }
}

register_template!(Go);

/// How sure folders make us of which none can be chosen: enough that a plan is asked for and says so, where no other
/// language recognizes the source.
const SEVERAL_FOLDERS: u8 = 20;

fn detect(source: &Source) -> Result<Option<Detection>, PluginError> {
    let found = |confidence: u8, version: Option<String>, reason: String| {
        Ok(Some(Detection { confidence, language: "go".to_owned(), framework: None, version, reason }))
    };
    let Ok(folder) = place::find(source) else {
        return found(SEVERAL_FOLDERS, None, "several of its folders have a go.mod".to_owned());
    };
    let Some(folder) = folder else {
        return Ok(None);
    };
    let file = place::join(&folder, "go.mod");
    let reason = format!("it has a {file}");
    match module::Module::read(source, &file) {
        Ok(module) if folder.is_empty() => found(95, module.and_then(|module| module.go), reason),
        // The root may belong to another language; what is wrong with the folder is told where it is planned.
        Ok(module) => found(50, module.and_then(|module| module.go), reason),
        Err(_) if !folder.is_empty() => found(50, None, reason),
        Err(error) => Err(error),
    }
}
