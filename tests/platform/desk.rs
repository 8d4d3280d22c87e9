//! The desk of a plugin's author, through the command line: no server runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::components;
use crate::harness::server::binary;

fn plugin(arguments: &[&str], place: &Path) -> Output {
    Command::new(binary()).arg("plugin").args(arguments).arg(place).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A component with two cases beside it: one that holds, and one that expects `port`.
pub(super) fn desk(folder: &Path, port: u16) -> PathBuf {
    let component = folder.join("site.wasm");
    fs::copy(components().join("examples/rust/static-site.wasm"), &component).unwrap();
    let cases = folder.join("cases");
    fs::create_dir_all(&cases).unwrap();
    let input = json!({ "tenantName": "my-site", "architecture": "amd64", "memoryMb": 256 });
    let mut unknown = input.clone();
    unknown["framework"] = json!("hugo");
    let good = json!({ "name": "an unknown framework", "input": unknown, "expect": { "error": "invalid-input" } });
    fs::write(cases.join("1.json"), good.to_string()).unwrap();
    let other = json!({ "name": "the starter", "input": input, "expect": { "service": { "port": port } } });
    fs::write(cases.join("2.json"), other.to_string()).unwrap();
    component
}

#[test]
fn a_failing_case_fails_the_test_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let component = desk(folder.path(), 3000);
    let tested = plugin(&["test"], &component);
    assert_eq!(tested.status.code(), Some(1), "{}", text(&tested));
    for word in [
        "ok      an unknown framework",
        "FAILED  the starter",
        "service.port: expected 3000, found 8080",
        "2.json",
        "1 of 2 cases failed",
    ] {
        assert!(text(&tested).contains(word), "{word}: {}", text(&tested));
    }
    let document = plugin(&["test", "--json"], &component);
    assert_eq!(document.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&document.stdout).expect("one document on standard output");
    assert_eq!((&document["passed"], &document["cases"][0]["passed"]), (&json!(false), &json!(true)));
    assert_eq!(document["cases"][1]["differences"][0]["path"], "service.port");
}

#[test]
fn cases_that_hold_pass_and_are_shown_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let component = desk(folder.path(), 8080);
    let tested = plugin(&["test", "-v"], &component);
    assert_eq!(tested.status.code(), Some(0), "{}", text(&tested));
    for word in ["2 cases passed", "Dockerfile:", "FROM python:3.12-slim-bookworm", "\"invalid-input\"", "fuel"] {
        assert!(text(&tested).contains(word), "{word}: {}", text(&tested));
    }
    let measured = plugin(&["bench", "--calls", "5"], &component);
    assert_eq!(measured.status.code(), Some(0), "{}", text(&measured));
    assert!(text(&measured).contains("the starter") && text(&measured).contains("calls/s"), "{}", text(&measured));
}

#[test]
fn what_a_server_would_not_take_is_told_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let component = desk(folder.path(), 8080);
    let checked = plugin(&["check"], &component);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    assert!(text(&checked).contains("a server would accept it"), "{}", text(&checked));

    let mut bytes = fs::read(&component).unwrap();
    let end = bytes.len() / 2;
    bytes.truncate(end);
    fs::write(&component, bytes).unwrap();
    let checked = plugin(&["check"], &component);
    assert_eq!(checked.status.code(), Some(1), "{}", text(&checked));
    assert!(text(&checked).contains("FAILED  structure"), "{}", text(&checked));
    let document = plugin(&["check", "--json"], &component);
    let document: Value = serde_json::from_slice(&document.stdout).unwrap();
    assert_eq!(document["steps"][0]["outcome"], "failed");
    assert_eq!(document["steps"][3], json!({ "step": "compile", "outcome": "skipped" }));
}
