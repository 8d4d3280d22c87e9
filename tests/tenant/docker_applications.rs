//! The applications of `tests/applications`: each deploys from its folder as it is, without configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Options, Server};

fn applications() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/applications")
}

/// Deploys each, one after the other, and asks it for these pages, each of which has this in it.
async fn run(applications_and_pages: &[(&str, &[(&str, &str)])]) {
    let server =
        Server::with(Options::default().and("[tenants]\nready-seconds = 60\n[build]\nown-dockerfile = true")).await;
    for (name, pages) in applications_and_pages {
        // A copy: a deployment is remembered in its folder.
        let copy = TempDir::new().unwrap();
        let folder = copy.path().join(name);
        let copied = Command::new("cp").arg("-r").arg(applications().join(name)).arg(&folder).status();
        assert!(copied.unwrap().success());
        let output = server.cli(&["deploy", folder.to_str().unwrap(), "--json"]);
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}: {told} {}", String::from_utf8_lossy(&output.stderr));
        let tenant: Value = serde_json::from_str(&told).expect("a document");
        let home = server.ask(&tenant, "/").await;
        assert!(home.status == 200 && home.text.contains(name), "{name}: {home:?}");
        for (path, expected) in *pages {
            let page = server.ask(&tenant, path).await;
            assert!(page.status == 200 && page.text.contains(expected), "{name}{path}: {page:?}");
        }
        server.destroy(&tenant).await;
    }
}

#[tokio::test]
async fn applications_for_node_run_as_they_are() {
    run(&[
        ("node-express", &[("/health", "")]),
        ("node-fastify", &[("/items/7", r#"{"id":7}"#)]),
        ("node-monorepo", &[]),
        ("node-plain", &[("/some-page", "has the slug some-page")]),
        ("node-vite", &[("/", "Good morning, builder")]),
    ])
    .await;
}

#[tokio::test]
async fn applications_in_python_run_as_they_are() {
    run(&[("python-flask", &[]), ("python-django", &[]), ("python-plain", &[]), ("python-procfile", &[])]).await;
}

#[tokio::test]
async fn applications_in_go_sites_and_own_dockerfiles_run_as_they_are() {
    run(&[
        ("go-workspace", &[]),
        ("own-dockerfile", &[("/", "good morning"), ("/pages/note.txt", "the Dockerfile copies")]),
        ("static-site", &[("/about/", "a file of its own"), ("/made/by/script", "static-site")]),
    ])
    .await;
}

#[tokio::test]
#[ignore = "builds for minutes: cargo xtask test --full"]
async fn applications_that_take_long_to_build_run_as_they_are() {
    run(&[
        ("node-koa", &[]),
        ("node-next", &[("/some-page", "has the slug some-page")]),
        ("node-typescript", &[]),
        ("python-fastapi", &[]),
        ("python-poetry", &[]),
        ("go-plain", &[]),
    ])
    .await;
}

#[test]
fn every_application_of_the_folder_is_tested() {
    let source = include_str!("docker_applications.rs");
    for entry in fs::read_dir(applications()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        assert!(!entry.path().is_dir() || source.contains(&format!("(\"{name}\"")), "{name} is in no test");
    }
}
