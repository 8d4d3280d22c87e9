//! What ten everyday commands look like on a terminal of 80 and of 40 columns, as golden files. The answers of the server are
//! canned where the real ones need an engine or differ from run to run.

use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use super::without_engine;
use crate::harness::{Canned, Reply, Terminal, components};

/// An operation and its tenant, as a spawn answers with them.
const OPERATION: &str = "019afb60-0000-7000-8000-000000000001";

/// What a spawn is answered with, and what happens then.
pub(super) fn spawn(events: Reply) -> Vec<(&'static str, Reply)> {
    let tenant = json!({ "envId": 2, "name": "my-app", "orgId": 1, "status": "provisioning", "port": 3002,
        "apiKey": "sk_tenant_4mzq7k2x9w5c3v8b1n6d0f", "createdAt": "2026-01-15T10:00:00Z" });
    let operation = json!({ "id": OPERATION, "url": format!("/api/v1/operations/{OPERATION}") });
    let accepted = json!({ "success": true, "tenant": tenant, "operation": operation });
    let status = json!({ "envId": 2, "name": "my-app", "status": "running", "port": 3002, "uptime": 3, "cpuUsage": "0.3%",
        "memoryUsage": "38MB", "containerName": "convergence-tenant-2" });
    vec![
        ("POST /api/v1/tenant/spawn", Reply::json(202, &accepted)),
        ("GET /api/v1/operations/019afb60-0000-7000-8000-000000000001/events", events),
        ("GET /api/v1/tenant/2/status", Reply::json(200, &status)),
        ("GET /api/v1/tenant/my-app/status", Reply::json(200, &status)),
    ]
}

/// An event of a step.
pub(super) fn step(step: &str, event: &str, second: &str, detail: &str) -> (&'static str, Value) {
    let at = format!("2026-01-15T10:00:{second}Z");
    ("step", json!({ "seq": 1, "step": step, "event": event, "detail": detail, "at": at }))
}

/// The end of an operation.
pub(super) fn outcome(state: &str, failure: &Value) -> (&'static str, Value) {
    ("outcome", json!({ "id": OPERATION, "kind": "spawn", "subject": "tenant/2", "state": state, "failure": failure }))
}

/// A screen without what differs from run to run.
fn settled(screen: &str, folder: &Path) -> String {
    let folder = folder.display().to_string();
    let mut text = screen.replace(&folder, "FOLDER");
    for (pattern, with) in
        [(r" +[0-9.]+(ns|µs|ms)", " TIME"), (r" +[0-9.]+( [kM])? fuel", " FUEL"), (r" +[0-9.]+ (KiB|MiB|GiB)", " SIZE")]
    {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, with).into_owned();
    }
    text
}

/// Runs a command at both widths and compares each screen with its golden file.
fn golden(name: &str, folder: &Path, code: i32, arguments: &[&str]) {
    for columns in [80, 40] {
        let (ended, screen) = Terminal::run(columns, folder, arguments);
        let screen = settled(&screen, folder);
        insta::assert_snapshot!(format!("{name}-{columns}"), screen);
        assert_eq!(ended, Some(code), "{screen}");
    }
}

#[test]
fn a_spawn_shows_a_line_a_step_and_the_key_once() {
    let events = Reply::events(&[
        step("image", "started", "00", ""),
        step("image", "line", "01", "[build 1/3] FROM node:22-bookworm-slim"),
        step("image", "line", "02", "[build 2/3] RUN [\"npm\",\"ci\"]"),
        step("image", "done", "12.3", ""),
        step("network", "started", "12.3", ""),
        step("network", "done", "12.4", ""),
        step("container", "started", "12.4", ""),
        step("container", "done", "12.9", ""),
        step("probe", "started", "13", ""),
        step("probe", "done", "14.5", ""),
        outcome("succeeded", &Value::Null),
    ]);
    let (server, folder) = (Canned::with(spawn(events)), tempfile::tempdir().unwrap());
    let arguments = ["--url", &server.url(), "spawn", "my-app", "--language", "node"];
    golden("spawn", folder.path(), 0, &arguments);
    let (_, screen) = Terminal::run(80, folder.path(), &arguments);
    assert_eq!(screen.matches("sk_tenant_").count(), 1, "{screen}");
    assert!(!screen.contains("npm"), "what the build printed is not kept on the screen: {screen}");
    let verbose = [&arguments[..], &["--verbose"]].concat();
    let (_, screen) = Terminal::run(80, folder.path(), &verbose);
    assert!(screen.contains("  | [build 2/3] RUN"), "{screen}");
}

#[test]
fn a_spawn_that_fails_shows_everything_its_step_printed() {
    let log = json!(["npm error code E404", "npm error 404 Not Found"]);
    let failure = json!({ "step": "image", "code": "build-failed", "retry": "after-fix",
        "message": "the build ended with code 1", "likelyCause": "a package is missing in the registry",
        "next": "correct the name of the package, then spawn again", "log": log });
    let events = Reply::events(&[
        step("image", "started", "00", ""),
        step("image", "line", "01", "[build 2/3] RUN [\"npm\",\"ci\"]"),
        step("image", "line", "02", "npm error code E404"),
        step("image", "line", "02", "npm error 404 Not Found \u{1b}[2J\u{1b}[31mred\u{7}"),
        step("image", "failed", "03.5", "the build ended with code 1"),
        step("image", "undone", "03.6", ""),
        outcome("failed", &failure),
    ]);
    let (server, folder) = (Canned::with(spawn(events)), tempfile::tempdir().unwrap());
    golden("spawn-fails", folder.path(), 1, &["--url", &server.url(), "spawn", "my-app", "--language", "node"]);
}

#[test]
fn tenants_are_listed_and_shown() {
    let one = |id: i64, name: &str, status: &str, reason: Value| {
        json!({ "envId": id, "name": name, "status": status, "port": 3000 + id, "createdAt": "2020-01-15T10:00:00Z",
            "reason": reason })
    };
    let reason = json!({ "message": "the app ended by itself 8 times, the last time with code 137 (out of memory)" });
    let tenants = [
        one(1, "app", "running", Value::Null),
        one(2, "app2", "failed", reason),
        one(36, "My Shop v1.2", "stopped", Value::Null),
    ];
    let mut replies = spawn(Reply::events(&[]));
    replies.push(("GET /api/v1/tenant", Reply::json(200, &json!({ "tenants": tenants }))));
    let (server, folder) = (Canned::with(replies), tempfile::tempdir().unwrap());
    golden("list", folder.path(), 0, &["--url", &server.url(), "list"]);
    golden("status", folder.path(), 0, &["--url", &server.url(), "status", "my-app"]);
}

#[test]
fn logs_show_what_is_not_obeyed() {
    let lines = json!({ "logs": [
        "2026-01-15T10:00:02Z [INFO] Listening on port 3000",
        "\u{1b}[32mgreen\u{1b}[0m and \u{1b}[1;31mnever ended",
        "\u{1b}[2J\u{1b}[H\u{1b}]0;owned\u{7}",
        "50%\r100%\r",
        "binary \u{0}\u{1}\u{fffd}\u{9b}",
        "turned \u{202e}around",
        "ünïcödé 🦀 日本",
    ] });
    let mut replies = spawn(Reply::events(&[]));
    replies.push(("GET /api/v1/tenant/my-app/logs", Reply::json(200, &lines)));
    let (server, folder) = (Canned::with(replies), tempfile::tempdir().unwrap());
    golden("logs", folder.path(), 0, &["--url", &server.url(), "logs", "my-app"]);
}

#[tokio::test]
async fn an_installed_plugin_is_shown() {
    let server = without_engine().await;
    let url = format!("http://127.0.0.1:{}", server.block.api_port());
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("static-site.wasm");
    std::fs::copy(components().join("examples/rust/static-site.wasm"), component).unwrap();
    golden("plugin-install", folder.path(), 0, &["--url", &url, "plugin", "install", "static-site.wasm"]);
}

#[test]
fn a_plan_is_shown() {
    let plan = json!({
        "dockerfile": "FROM python:3.12-slim-bookworm AS run\nWORKDIR \"/app\"\nCMD [\"python3\", \"/app/serve.py\"]\n",
        "compose": "services:\n  tenant:\n    container_name: 'convergence-tenant-0'\n    environment:\n    - 'PORT=8080'\n",
        "decisions": { "notes": ["Files served by Python."], "warnings": ["The image is pinned to no digest."] },
    });
    let server = Canned::with(vec![("POST /api/v1/tenant/plan", Reply::json(200, &plan))]);
    let folder = tempfile::tempdir().unwrap();
    golden("plan", folder.path(), 0, &["--url", &server.url(), "plan", "my-app", "--language", "static"]);
}

#[test]
fn a_machine_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = "data-dir = \"data\"\n[docker]\nsocket = \"missing.sock\"\n[tenants]\nports = \"1100-1109\"\n\
                         [build]\nmemory-mb = 1024\n[sources]\ngit-hosts = []\n";
    let configuration = format!("plugins-dir = \"plugins\"\n{configuration}");
    std::fs::write(folder.path().join("convergence.toml"), configuration).unwrap();
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::copy(components().join("examples/rust/static-site.wasm"), plugins.join("static-site.wasm")).unwrap();
    golden("doctor", folder.path(), 1, &["doctor", "--config", "convergence.toml"]);
}

#[test]
fn a_plugin_is_begun_and_tested() {
    for columns in [80, 40] {
        let folder = tempfile::tempdir().unwrap();
        let new = ["plugin", "new", "--kind", "template", "--lang", "rust", "ruby"];
        let (code, screen) = Terminal::run(columns, folder.path(), &new);
        insta::assert_snapshot!(format!("plugin-new-{columns}"), settled(&screen, folder.path()));
        assert_eq!(code, Some(0), "{screen}");
    }
    let folder = tempfile::tempdir().unwrap();
    super::desk::desk(folder.path(), 3000);
    golden("plugin-test", folder.path(), 1, &["plugin", "test", "site.wasm"]);
}
