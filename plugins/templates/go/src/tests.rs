//! What the template answers, as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use convergence_plugin_api::template::{Base, BuildPlan, Origin, Probe, Request, Stage, Step, Template};
use convergence_plugin_api::{Attribute, NoConfig, PluginError};

use crate::Go;

const MODULE: &str = "module example.com/shop\n\ngo 1.22\n";

fn plan(request: &Request) -> BuildPlan {
    Go::plan(request, &NoConfig {}).unwrap()
}

fn refused_at(request: &Request) -> String {
    match Go::plan(request, &NoConfig {}) {
        Err(PluginError::InvalidInput(errors)) => errors[0].path.clone(),
        other => panic!("not refused as invalid input: {other:?}"),
    }
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

const BUILD: &str = "go build -trimpath -buildvcs=false -tags=timetzdata -ldflags=-s -w -o /app/server";

#[test]
fn the_starter_is_one_static_binary() {
    let plan = plan(&Request::starter("demo"));
    assert_eq!(plan.stages[0].base, Base::Image("golang:1.24-bookworm".into()));
    assert_eq!(plan.stages[1].base, Base::Scratch);
    assert_eq!(commands(&plan.stages[0]), [format!("{BUILD} .")]);
    assert!(plan.stages[0].steps.contains(&Step::Env(Attribute::new("CGO_ENABLED", "0"))));
    assert_eq!(plan.service.command, ["/app/server"]);
    assert_eq!(plan.service.health.probe, Probe::Http("/health".into()));
    assert_eq!(
        plan.service.health.in_container.as_deref(),
        Some(&["/app/server".to_owned(), "-health".to_owned()][..])
    );
    assert!(plan.service.env.contains(&Attribute::new("GOMEMLIMIT", "461MiB")));
}

#[test]
fn a_base_image_replaces_what_runs_and_not_what_builds() {
    let mut request = Request::starter("demo");
    request.base_image = Some("debian:bookworm-slim".into());
    let plan = plan(&request);
    assert_eq!(plan.stages[0].base, Base::Image("golang:1.24-bookworm".into()));
    assert_eq!(plan.stages[1].base, Base::Image("debian:bookworm-slim".into()));
}

#[test]
fn an_unknown_framework_is_refused() {
    let mut request = Request::starter("demo");
    request.framework = Some("gin".into());
    assert_eq!(refused_at(&request), "framework");
}

#[test]
fn modules_are_downloaded_apart_from_the_code() {
    let module = "module example.com/shop\ngo 1.25\nrequire a.b/c v1.0.0\n";
    let files = [("go.mod", module), ("go.sum", ""), ("main.go", ""), ("static/site.css", "")];
    let plan = plan(&Request::application("demo", files));
    assert_eq!(plan.stages[0].base, Base::Image("golang:1.25-bookworm".into()));
    assert_eq!(commands(&plan.stages[0]), ["go mod download".to_owned(), format!("{BUILD} .")]);
    assert_eq!(
        copies(&plan.stages[0]),
        [(Origin::Source, "go.mod go.sum".to_owned()), (Origin::Source, ".".to_owned())]
    );
    assert!(copies(&plan.stages[1]).contains(&(Origin::Source, "static".to_owned())));
    assert_eq!(plan.service.health.probe, Probe::Tcp);
}

#[test]
fn the_program_is_found() {
    let built = |files: &[&str]| {
        let files = files.iter().map(|path| (*path, "")).chain([("go.mod", MODULE)]);
        Go::plan(&Request::application("demo", files), &NoConfig {}).map(|plan| commands(&plan.stages[0]).concat())
    };
    assert!(built(&["main.go", "cmd/tool/main.go"]).unwrap().ends_with(" ."));
    assert!(built(&["serve.go"]).unwrap().ends_with(" ."));
    assert!(built(&["lib.go", "cmd/tool/main.go"]).unwrap().ends_with(" ./cmd/tool"));
    assert!(built(&["cmd/a/main.go", "cmd/shop/main.go"]).unwrap().ends_with(" ./cmd/shop"));
    assert!(built(&["cmd/a/main.go", "cmd/server/main.go"]).unwrap().ends_with(" ./cmd/server"));
    assert!(built(&["cmd/a/main.go", "cmd/b/main.go"]).is_err());
    assert!(built(&["internal/x/x.go"]).is_err());
}

#[test]
fn sources_that_cannot_be_built_are_refused_with_the_reason() {
    assert_eq!(refused_at(&Request::application("demo", [("main.go", "")])), "go.mod");
    assert_eq!(refused_at(&Request::application("demo", [("go.mod", "go 1.22\n")])), "go.mod");
    let module = "module x\nrequire a.b/c v1.0.0\n";
    assert_eq!(refused_at(&Request::application("demo", [("go.mod", module), ("main.go", "")])), "go.sum");
    let newer = Request::application("demo", [("go.mod", "module x\ngo 1.99\n"), ("main.go", "")]);
    assert!(matches!(Go::plan(&newer, &NoConfig {}), Err(PluginError::Unsupported(_))));
}

#[test]
fn vendored_modules_are_not_downloaded() {
    let module = "module x\nrequire a.b/c v1.0.0\n";
    let files = [("go.mod", module), ("main.go", ""), ("vendor/modules.txt", "")];
    let vendored = plan(&Request::application("demo", files));
    assert_eq!(commands(&vendored.stages[0]), [BUILD.replace(" -o", " -mod=vendor -o") + " ."]);
    assert!(vendored.notes.concat().contains("vendor/modules.txt"));
    let other = [("go.mod", module), ("main.go", ""), ("vendor/jquery.js", "")];
    assert_eq!(refused_at(&Request::application("demo", other)), "go.sum");
}

#[test]
fn a_module_in_the_only_folder_is_built_there() {
    let module = "module example.com/shop\nrequire github.com/mattn/go-sqlite3 v1.14.0\n";
    let files = [
        ("README.md", ""),
        ("backend/cmd/shop/run.go", "package main\n"),
        ("backend/go.mod", module),
        ("backend/go.sum", ""),
        ("backend/static/a.css", ""),
        ("tools/go.mod", "module tools\n"),
    ];
    let plan = plan(&Request::application("demo", files));
    assert_eq!(commands(&plan.stages[0]), ["go mod download".to_owned(), format!("{BUILD} ./cmd/shop")]);
    assert_eq!(
        copies(&plan.stages[0]),
        [(Origin::Source, "backend/go.mod backend/go.sum".to_owned()), (Origin::Source, ".".to_owned())]
    );
    assert!(plan.stages[0].steps.contains(&Step::Workdir("/src/backend".into())));
    assert!(copies(&plan.stages[1]).contains(&(Origin::Source, "backend/static".to_owned())));
    let notes = plan.notes.join("\n");
    for words in ["in the folder `backend`", "it is the only program", "needs cgo", "modernc.org/sqlite"] {
        assert!(notes.contains(words), "{notes}");
    }
    let found = Go::detect(&Request::application("demo", files), &NoConfig {}).unwrap().unwrap();
    assert_eq!((found.confidence, found.reason.as_str()), (50, "it has a backend/go.mod"));
    let two = Request::application("demo", [("a/go.mod", MODULE), ("b/go.mod", MODULE)]);
    assert_eq!(refused_at(&two), "go.mod");
    assert_eq!(Go::detect(&two, &NoConfig {}).unwrap().unwrap().confidence, 20);
    assert_eq!(refused_at(&Request::application("demo", [("a/go.mod", MODULE)])), "a/main.go");
}

#[test]
fn a_workspace_is_built_with_all_its_modules() {
    let module = "module example.com/shop\nrequire a.b/c v1.0.0\n";
    let mut files = vec![("go.mod", module), ("go.sum", ""), ("go.work", ""), ("main.go", "")];
    assert_eq!(commands(&plan(&Request::application("demo", files.clone())).stages[0]), [format!("{BUILD} .")]);
    files.push(("vendor/modules.txt", ""));
    let vendored = plan(&Request::application("demo", files.clone()));
    assert!(vendored.stages[0].steps.contains(&Step::Env(Attribute::new("GOWORK", "off"))));
    // What comes from its folders, or from those of a replacement, has no sum.
    files.retain(|(path, _)| !["go.sum", "vendor/modules.txt"].contains(path));
    assert_eq!(commands(&plan(&Request::application("demo", files)).stages[0]), [format!("{BUILD} .")]);
    let replaced = format!("{module}replace a.b/c => ./c\n");
    let files = [("go.mod", replaced.as_str()), ("main.go", ""), ("c/go.mod", "module a.b/c\n")];
    assert_eq!(commands(&plan(&Request::application("demo", files)).stages[0]), [format!("{BUILD} .")]);
}

#[test]
fn a_procfile_wins() {
    let mut request = Request::application("demo", [("go.mod", MODULE), ("main.go", "")]);
    request.processes = vec![Attribute::new("web", "/app/server -listen :$PORT")];
    assert_eq!(plan(&request).service.command, ["/app/server", "-listen", ":3000"]);
    request.processes = vec![Attribute::new("web", "bin/shop -v")];
    assert_eq!(plan(&request).service.command, ["/app/server", "-v"]);
    request.processes = vec![Attribute::new("web", "go run .")];
    assert_eq!(refused_at(&request), "processes.web");
    request.base_image = Some("example.com/with-go:1".into());
    assert_eq!(plan(&request).service.command, ["go", "run", "."]);
}

#[test]
fn a_source_is_recognized_by_its_module() {
    let detect = |request: &Request| Go::detect(request, &NoConfig {}).unwrap();
    assert_eq!(detect(&Request::starter("demo")), None);
    assert_eq!(detect(&Request::application("demo", [("package.json", "{}")])), None);
    assert_eq!(detect(&Request::application("demo", [("go.mod", MODULE)])).unwrap().version.as_deref(), Some("1.22"));
}
