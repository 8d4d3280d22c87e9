//! What the template answers, as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use convergence_plugin_api::template::{Base, BuildPlan, Origin, Probe, Request, Step, Template};
use convergence_plugin_api::{Attribute, NoConfig, PluginError};

use crate::Site;

fn plan(request: &Request) -> BuildPlan {
    Site::plan(request, &NoConfig {}).unwrap()
}

fn of(paths: &[&str]) -> Request {
    Request::application("demo", paths.iter().map(|path| (*path, "")))
}

fn refusal(request: &Request) -> (String, String) {
    match Site::plan(request, &NoConfig {}) {
        Err(PluginError::InvalidInput(errors)) => (errors[0].path.clone(), errors[0].message.clone()),
        other => panic!("not refused as invalid input: {other:?}"),
    }
}

/// From where and what is copied besides the server.
fn site(plan: &BuildPlan) -> (Origin, String) {
    let copies = plan.stages[0].steps.iter().filter_map(|step| match step {
        Step::Copy(copy) if copy.destination == "/app/site" => Some((copy.origin.clone(), copy.paths.join(" "))),
        _ => None,
    });
    let copies: Vec<_> = copies.collect();
    assert_eq!(copies.len(), 1);
    copies[0].clone()
}

#[test]
fn the_starter_brings_its_page_and_its_health() {
    let plan = plan(&Request::starter("demo"));
    let paths: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["serve.mjs", "site/index.html", "site/health"]);
    assert_eq!(site(&plan), (Origin::Plan, "site".to_owned()));
    assert_eq!(plan.service.command, ["node", "/app/serve.mjs", "/app/site"]);
    assert_eq!(plan.service.health.probe, Probe::Http("/health".into()));
    assert_eq!(plan.stages[0].base, Base::Image("node:22-bookworm-slim".into()));
}

#[test]
fn the_folder_with_the_first_page_is_served() {
    for (paths, folder) in [
        (&["index.html", "public/index.html"][..], "."),
        (&["README.md", "public/index.html", "dist/index.html"], "public"),
        (&["dist/index.html", "build/index.html"], "dist"),
        (&["build/index.html"], "build"),
    ] {
        let plan = plan(&of(paths));
        assert_eq!(site(&plan), (Origin::Source, folder.to_owned()));
        assert_eq!(plan.service.health.probe, Probe::Http("/".into()));
        assert_eq!(plan.files.len(), 1);
    }
    assert!(plan(&of(&["dist/index.html"])).notes[0].contains("`dist` is served, because it has dist/index.html"));
}

#[test]
fn a_source_without_a_page_is_refused_with_what_to_add() {
    let (place, why) = refusal(&of(&["docs/index.html"]));
    assert!(place == "index.html" && why.contains("`public`, `dist` or `build`; add one"), "{why}");
    let mut other = Request::starter("demo");
    other.framework = Some("hugo".into());
    assert_eq!(refusal(&other).0, "framework");
}

#[test]
fn a_procfile_and_a_base_image_win() {
    let mut request = of(&["index.html"]);
    request.processes = vec![Attribute::new("web", "node /app/serve.mjs /app/site/other")];
    request.base_image = Some("node:24-bookworm".into());
    let plan = plan(&request);
    assert_eq!(plan.service.command, ["node", "/app/serve.mjs", "/app/site/other"]);
    assert_eq!(plan.stages[0].base, Base::Image("node:24-bookworm".into()));
    request.processes = vec![Attribute::new("web", "a | b")];
    assert_eq!(refusal(&request).0, "processes.web");
}

#[test]
fn pages_are_recognized_where_nothing_else_is() {
    let detect = |request: &Request| Site::detect(request, &NoConfig {}).unwrap();
    let found = detect(&of(&["public/index.html"])).unwrap();
    assert_eq!((found.confidence, found.language.as_str()), (40, "site"));
    assert_eq!(found.reason, "it has public/index.html");
    assert_eq!(detect(&Request::starter("demo")), None);
    assert_eq!(detect(&of(&["README.md"])), None);
    for other in ["package.json", "requirements.txt", "pyproject.toml", "go.mod"] {
        assert_eq!(detect(&of(&["index.html", other])), None, "{other}");
    }
    // Of a folder of their own they say nothing about the pages.
    assert!(detect(&of(&["index.html", "tools/package.json"])).is_some());
}

#[test]
fn the_image_is_that_of_the_node_template() {
    let node = include_str!("../../node/src/version.rs");
    assert!(node.contains(&format!("DEFAULT_IMAGE: &str = {:?};", crate::site::DEFAULT_IMAGE)));
}
