//! What the template answers, as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use convergence_plugin_api::template::{Base, BuildPlan, Origin, Probe, Request, Stage, Step, Template};
use convergence_plugin_api::{Attribute, NoConfig, PluginError};

use crate::Node;

mod frameworks;
mod layouts;
mod managers;

const EXPRESS: &str = r#"{"scripts":{"start":"node app.js"},"dependencies":{"express":"^5"}}"#;

fn plan(request: &Request) -> BuildPlan {
    Node::plan(request, &NoConfig {}).unwrap()
}

fn refused_at(request: &Request) -> String {
    match Node::plan(request, &NoConfig {}) {
        Err(PluginError::InvalidInput(errors)) => errors[0].path.clone(),
        other => panic!("not refused as invalid input: {other:?}"),
    }
}

/// The place and the message of the only thing that is wrong.
fn refusal(request: &Request) -> (String, String) {
    match Node::plan(request, &NoConfig {}) {
        Err(PluginError::InvalidInput(errors)) => (errors[0].path.clone(), errors[0].message.clone()),
        other => panic!("not refused as invalid input: {other:?}"),
    }
}

/// Whether a note contains this.
fn is_noted(plan: &BuildPlan, text: &str) -> bool {
    plan.notes.iter().any(|note| note.contains(text))
}

/// The current folder of the service.
fn workdir(plan: &BuildPlan) -> &str {
    let mut folders = plan.stages.last().unwrap().steps.iter().filter_map(|step| match step {
        Step::Workdir(folder) => Some(folder.as_str()),
        _ => None,
    });
    folders.next_back().unwrap()
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

#[test]
fn the_starter_is_installed_apart_from_what_runs() {
    let plan = plan(&Request::starter("demo"));
    assert_eq!(plan.stages.len(), 2);
    assert!(plan.stages.iter().all(|stage| stage.base == Base::Image("node:22-bookworm-slim".into())));
    assert_eq!(commands(&plan.stages[0]), ["npm ci --omit=dev --no-audit --no-fund"]);
    assert_eq!(commands(&plan.stages[1]), [""; 0]);
    assert_eq!(plan.service.command, ["node", "server.js"]);
    assert_eq!(plan.service.health.probe, Probe::Http("/health".into()));
    assert!(plan.service.env.contains(&Attribute::new("NODE_OPTIONS", "--max-old-space-size=384")));
    let paths: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["package.json", "package-lock.json", "server.js"]);
}

#[test]
fn the_starters_lock_file_names_no_download_address() {
    let plan = plan(&Request::starter("demo"));
    let lock = std::str::from_utf8(&plan.files[1].contents).unwrap();
    assert!(lock.contains("\"integrity\"") && !lock.contains("\"resolved\""));
}

#[test]
fn a_base_image_replaces_the_one_of_every_stage() {
    let mut request = Request::starter("demo");
    request.base_image = Some("node:24-bookworm".into());
    assert!(plan(&request).stages.iter().all(|stage| stage.base == Base::Image("node:24-bookworm".into())));
}

#[test]
fn an_unknown_framework_is_refused() {
    let mut request = Request::starter("demo");
    request.framework = Some("rails".into());
    assert_eq!(refused_at(&request), "framework");
}

#[test]
fn an_application_is_installed_from_its_lock_file() {
    let request = Request::application(
        "demo",
        [("package.json", EXPRESS), ("package-lock.json", "{}"), (".nvmrc", "v20.11.1\n"), ("app.js", "")],
    );
    let plan = plan(&request);
    assert!(plan.stages.iter().all(|stage| stage.base == Base::Image("node:20-bookworm-slim".into())));
    assert_eq!(commands(&plan.stages[0])[0], "npm ci --omit=dev --no-audit --no-fund");
    assert_eq!(copies(&plan.stages[0]), [(Origin::Source, "package.json package-lock.json".to_owned())]);
    assert_eq!(
        copies(&plan.stages[1]),
        [(Origin::Source, ".".to_owned()), (Origin::Stage("dependencies".into()), "/app/node_modules".to_owned())]
    );
    assert_eq!(plan.service.command, ["node", "app.js"]);
    assert_eq!(plan.service.health.probe, Probe::Tcp);
    assert!(plan.files.is_empty());
}

#[test]
fn without_a_lock_file_it_is_installed_and_said() {
    let plan = plan(&Request::application("demo", [("package.json", EXPRESS), ("app.js", "")]));
    assert_eq!(commands(&plan.stages[0])[0], "npm install --omit=dev --no-audit --no-fund");
    assert!(plan.notes.iter().any(|note| note.starts_with("No lock file")));
}

#[test]
fn a_build_script_runs_with_development_dependencies() {
    let package = r#"{"scripts":{"build":"tsc","start":"next start"},"dependencies":{"next":"1"},"devDependencies":{"typescript":"5"}}"#;
    let mut request = Request::application("demo", [("package.json", package), ("package-lock.json", "{}")]);
    request.build_args = vec![Attribute::new("PUBLIC_URL", "https://example.com/$x")];
    let plan = plan(&request);
    assert_eq!(
        commands(&plan.stages[0]),
        [
            "npm ci --include=dev --no-audit --no-fund",
            "npm run build",
            "rm -rf /app/.next/cache",
            "npm prune --omit=dev --ignore-scripts --no-audit --no-fund"
        ]
    );
    assert!(plan.stages[0].steps.contains(&Step::Env(Attribute::new("PUBLIC_URL", "https://example.com/$x"))));
    assert_eq!(plan.service.command, ["npm", "start"]);
    assert!(plan.service.env.contains(&Attribute::new("npm_config_cache", "/tmp/npm")));
}

#[test]
fn an_application_without_dependencies_is_one_stage() {
    let plan = plan(&Request::application("demo", [("package.json", "{}"), ("index.js", "")]));
    assert_eq!(plan.stages.len(), 1);
    assert_eq!(plan.service.command, ["node", "index.js"]);
}

#[test]
fn a_procfile_wins() {
    let mut request = Request::application("demo", [("package.json", EXPRESS)]);
    request.processes = vec![Attribute::new("web", "node app.js --port $PORT")];
    assert_eq!(plan(&request).service.command, ["node", "app.js", "--port", "3000"]);
    request.processes = vec![Attribute::new("web", "node app.js | tee log")];
    assert_eq!(refused_at(&request), "processes.web");
}

#[test]
fn sources_that_cannot_be_built_are_refused_with_the_reason() {
    assert_eq!(refused_at(&Request::application("demo", [("main.py", "")])), "package.json");
    assert_eq!(refused_at(&Request::application("demo", [("package.json", "{}")])), "package.json:scripts.start");
    assert_eq!(refused_at(&Request::application("demo", [("package.json", "{\"name\":\"x\",}")])), "package.json");
    assert_eq!(
        refused_at(&Request::application("demo", [("package.json", r#"{"scripts":{"start":1}}"#)])),
        "package.json:scripts.start"
    );
    let modules = [("package.json", EXPRESS), ("node_modules/express/index.js", "")];
    assert_eq!(refused_at(&Request::application("demo", modules)), "node_modules");
    let mut other = Request::application("demo", [("package.json", "{}"), ("index.js", "")]);
    other.framework = Some("express".into());
    assert_eq!(refused_at(&other), "framework");
}

#[test]
fn an_old_version_is_unsupported_unless_a_base_image_has_it() {
    let mut request = Request::application("demo", [("package.json", r#"{"main":"a.js","engines":{"node":"^14"}}"#)]);
    assert!(matches!(Node::plan(&request, &NoConfig {}), Err(PluginError::Unsupported(_))));
    request.base_image = Some("node:14-bookworm".into());
    assert!(Node::plan(&request, &NoConfig {}).is_ok());
}

#[test]
fn a_source_is_recognized_by_its_package() {
    let detect = |request: &Request| Node::detect(request, &NoConfig {}).unwrap();
    assert_eq!(detect(&Request::starter("demo")), None);
    assert_eq!(detect(&Request::application("demo", [("go.mod", "")])), None);
    let found = detect(&Request::application("demo", [("package.json", EXPRESS), (".nvmrc", "lts/iron")])).unwrap();
    assert_eq!((found.framework.as_deref(), found.version.as_deref()), (Some("express"), Some("lts/iron")));
}
