//! The language template for Node: an Express starter, or an application of one's own, installed by npm, pnpm, Yarn or
//! Bun.
//!
//! It reads `package.json`, the head of lock files and a few configuration files, and decides; it never sees the
//! application's code. Images are Debian slim, dependencies are installed from the lock file, and the running image has
//! no build tools added.

use convergence_plugin_api::template::{BuildPlan, Detection, Language, Request, Source, Template};
use convergence_plugin_api::{Description, Example, NoConfig, PluginError, register_template};

mod application;
mod framework;
mod install;
mod layout;
mod manager;
mod package;
mod service;
mod site;
mod start;
mod starter;
#[cfg(test)]
mod tests;
mod version;

use framework::FRAMEWORKS;

/// Files whose contents are read, at the root and in folders below it.
const READ: [&str; 9] = [
    "package.json",
    ".nvmrc",
    ".node-version",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    "next.config.*",
    "react-router.config.*",
    "vite.config.*",
];

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
            "Runs Node applications and sites that Node builds: an Express starter, or your own with its lock file honoured.",
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
                "a package of a workspace that pnpm installs",
                "{}",
                r#"{"tenantName":"my-app","architecture":"amd64","memoryMb":512,"source":{
                    "paths":["apps/web/package.json","package.json","pnpm-lock.yaml"],
                    "files":[
                        {"path":"apps/web/package.json","contents":"{\"scripts\":{\"build\":\"next build\"},\"dependencies\":{\"next\":\"15\"}}","executable":false},
                        {"path":"package.json","contents":"{\"workspaces\":[\"apps/*\"]}","executable":false}]}}"#,
            )
            .expect(r#"{"service":{"command":["next","start","-p","3000","-H","0.0.0.0"]}}"#),
        )
        .example(
            Example::new(
                "a site that Vite builds is served as files",
                "{}",
                r#"{"tenantName":"my-app","architecture":"amd64","memoryMb":256,"source":{
                    "paths":["package.json","yarn.lock"],
                    "files":[
                        {"path":"package.json","contents":"{\"scripts\":{\"build\":\"vite build\"},\"devDependencies\":{\"vite\":\"6\"}}","executable":false},
                        {"path":"yarn.lock","contents":"__metadata:\n  version: 8\n","executable":false}]}}"#,
            )
            .expect(r#"{"service":{"command":["node","/app/serve.mjs","/app/site"]}}"#),
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
        let folders = (0..=layout::DEPTH).map(|depth| "*/".repeat(depth));
        let files = folders.flat_map(|folder| READ.map(|name| format!("/{folder}{name}")));
        // A source that has installed its dependencies is refused; thousands of files need not be read for that.
        files.chain(["!**/node_modules/**".to_owned()]).collect()
    }

    fn detect(request: &Request, _: &NoConfig) -> Result<Option<Detection>, PluginError> {
        request.source.as_ref().map_or(Ok(None), |source| detect(request, source))
    }

    fn plan(request: &Request, _: &NoConfig) -> Result<BuildPlan, PluginError> {
        let framework = request.framework_among(&FRAMEWORKS)?;
        match (&request.source, framework) {
            (Some(source), framework) => application::plan(request, source, framework),
            (None, None | Some("express")) => Ok(starter::plan(request)),
            (None, Some(other)) => Err(PluginError::invalid_input(
                "framework",
                format!(
                    "the starter is an application of `express`; leave the framework out, or bring an application of `{other}`"
                ),
            )),
        }
    }
}

register_template!(Node);

/// Something with a package.json is for Node, also where it does not say which of its packages is to run: `plan` tells
/// that. Below the root, other languages have packages for their pages, so that what they find at the root wins.
fn detect(request: &Request, source: &Source) -> Result<Option<Detection>, PluginError> {
    let is_at_root = package::Package::read(source, "package.json")?.is_some();
    let Ok(layout) = layout::find(request, source) else {
        return Ok(is_at_root.then(|| detection(95, None, None, "it has a package.json".to_owned())));
    };
    let path = layout.in_package("package.json");
    let framework = framework::all(&layout.package).next();
    let version = version::asked_for(source, &layout)?.map(|asked| asked.text);
    let reason = match framework {
        Some(framework) => format!("{path} depends on {framework}"),
        None => format!("it has a {path}"),
    };
    Ok(Some(detection(if is_at_root { 95 } else { 50 }, framework, version, reason)))
}

fn detection(confidence: u8, framework: Option<&str>, version: Option<String>, reason: String) -> Detection {
    Detection { confidence, language: "node".to_owned(), framework: framework.map(str::to_owned), version, reason }
}
