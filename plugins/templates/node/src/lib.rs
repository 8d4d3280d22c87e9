//! The language template for Node: an Express starter, or an application of one's own, installed by npm.
//!
//! It reads `package.json` and decides; it never sees the application's code. Images are Debian slim, dependencies
//! are installed in a stage of their own from the lock file, and the running image has no build tools added.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Source, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod application;
mod package;
mod service;
mod starter;
#[cfg(test)]
mod tests;
mod version;

/// Frameworks that a caller may name; the first is the starter's.
const FRAMEWORKS: [&str; 1] = ["express"];

/// The template.
#[derive(Debug)]
pub struct Node;

impl Template for Node {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::template(
            "node",
            "Node.js",
            env!("CARGO_PKG_VERSION"),
            "Runs Node applications: an Express starter, or your own with its package-lock.json honoured.",
        )
        .example(
            Example::new(
                "the Express starter",
                "{}",
                r#"{"tenantName":"my-app","framework":"express","architecture":"amd64","memoryMb":512}"#,
            )
            .expect(r#"{"service":{"command":["node","server.js"],"port":3000}}"#),
        )
        .example(
            Example::new(
                "an application with a lock file",
                "{}",
                r#"{"tenantName":"my-app","architecture":"arm64","memoryMb":512,"source":{
                    "paths":["index.js","package-lock.json","package.json"],
                    "files":[{"path":"package.json","contents":"{\"main\":\"index.js\"}","executable":false}]}}"#,
            )
            .expect(r#"{"service":{"command":["node","index.js"]}}"#),
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
        vec![Language::new("node", FRAMEWORKS, version::KNOWN.map(|(_, text)| text), [version::DEFAULT_IMAGE])]
    }

    fn wants() -> Vec<String> {
        ["/package.json", "/.nvmrc", "/.node-version"].map(str::to_owned).to_vec()
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

register_template!(Node);

fn detect(source: &Source) -> Result<Option<Detection>, PluginError> {
    let Some(package) = package::Package::read(source)? else {
        return Ok(None);
    };
    let framework = package.framework();
    Ok(Some(Detection {
        confidence: 95,
        language: "node".to_owned(),
        framework: framework.map(str::to_owned),
        version: version::asked_for(source, &package)?.map(|asked| asked.text),
        reason: match framework {
            Some(framework) => format!("package.json depends on {framework}"),
            None => "it has a package.json".to_owned(),
        },
    }))
}
