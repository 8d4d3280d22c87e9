//! Cases against real components: the product's own examples hold, and what does not hold is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

use std::fs;
use std::path::{Path, PathBuf};

use convergence_plugin::{Case, CaseFailure, run_examples};
use convergence_sandbox::{CallError, Component, Sandbox, SandboxConfig};
use serde_json::{Value, json};

fn components() -> PathBuf {
    std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from)
}

fn bytes(name: &str) -> Vec<u8> {
    let path = components().join(name).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; build it with `cargo xtask guests`", path.display()))
}

fn load(bytes: &[u8]) -> Component {
    Sandbox::new(SandboxConfig::default()).unwrap().load(bytes).unwrap()
}

/// A text of the component replaced by one as long.
fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is there");
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    bytes
}

fn case(config: Value, expect: Option<Value>) -> Case {
    let input = json!({ "tenantName": "my-app", "architecture": "amd64", "memoryMb": 64 });
    Case { name: "a case".to_owned(), config, input, expect }
}

/// Every component below a folder.
fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn the_examples_of_every_plugin_of_the_product_hold() {
    let folders = ["templates", "policies", "examples"].map(|folder| components().join(folder));
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| all(folder)).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let component = load(&fs::read(&file).unwrap());
        run_examples(&component).await.unwrap_or_else(|reason| panic!("{}: {reason}", file.display()));
    }
}

#[tokio::test]
async fn an_example_that_does_not_hold_is_told_by_name_and_place() {
    let broken = replaced(bytes("templates/node"), r#""server.js"],"port":3000"#, r#""server.js"],"port":3999"#);
    let reason = run_examples(&load(&broken)).await.unwrap_err();
    assert_eq!(reason, "its example `the Express starter` does not hold: service.port: expected 3999, found 3000");
    let unreadable = replaced(
        bytes("templates/node"),
        r#"{"tenantName":"my-app","framework":"rails""#,
        r#"{"tenantName":"my-app","framework" "rails""#,
    );
    let reason = run_examples(&load(&unreadable)).await.unwrap_err();
    assert!(
        reason.starts_with("its example `an unknown framework is refused` does not hold: its `input` is not JSON"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_outcome_says_what_was_answered_and_what_it_took() {
    let hostile = load(&bytes("fixtures/hostile"));
    let outcome = case(json!({}), Some(json!({ "service": { "port": 8080 } }))).run(&hostile).await;
    assert!(outcome.passed(), "{outcome:?}");
    assert_eq!(outcome.answer.unwrap()["service"]["command"][0], "/bin/sh");
    assert!(outcome.report.unwrap().fuel_used > 0);

    let outcome = case(json!({}), Some(json!({ "service": { "port": 8081 } }))).run(&hostile).await;
    assert!(!outcome.passed());
    assert_eq!(outcome.differences[0].to_string(), "service.port: expected 8081, found 8080");

    let refused = case(json!({ "do": "refuse" }), Some(json!({ "error": "invalid-input" }))).run(&hostile).await;
    assert!(refused.passed(), "{refused:?}");
    assert!(!case(json!({ "do": "refuse" }), None).run(&hostile).await.passed());
}

#[tokio::test]
async fn what_breaks_or_does_not_fit_has_no_answer_and_never_passes() {
    let hostile = load(&bytes("fixtures/hostile"));
    let broken = case(json!({ "do": "panic" }), Some(json!({ "error": "internal" }))).run(&hostile).await;
    assert!(matches!(broken.failure, Some(CaseFailure::Call(CallError::Trap { .. }))), "{broken:?}");
    assert!(!broken.passed() && broken.answer.is_none());
    assert!(broken.report.unwrap().log.last_error().unwrap().contains("my-app"));

    let wrong_config = case(json!({ "dance": true }), None).run(&hostile).await;
    let Some(CaseFailure::Case(reason)) = &wrong_config.failure else { panic!("{wrong_config:?}") };
    assert!(reason.contains("dance") && wrong_config.report.is_none(), "{reason}");

    let mut wrong_input = case(json!({}), None);
    wrong_input.input["memoryMb"] = json!("lots");
    let wrong_input = wrong_input.run(&hostile).await;
    assert_eq!(
        wrong_input.failure.unwrap().to_string(),
        "the case is wrong: its `input` is not what the plugin takes: memoryMb: expected a whole number from 0 to \
         4294967295, found \"lots\""
    );
}
