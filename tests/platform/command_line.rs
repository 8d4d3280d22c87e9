//! The command line where it needs no engine.

use std::process::Command;

use super::without_engine;
use crate::harness::server::binary;

#[tokio::test]
async fn exit_codes_tell_scripts_what_happened() {
    let server = without_engine().await;
    let code = |arguments: &[&str]| server.cli(arguments).status.code().unwrap();
    assert_eq!(code(&["list"]), 0);
    assert_eq!(code(&["spawn"]), 2, "the name is missing");
    assert_eq!(code(&["status", "7"]), 5);
    assert_eq!(code(&["status", "My App"]), 5, "no tenant has that name");
    assert_eq!(code(&["logs", "+7"]), 4, "it is neither a number nor a name");
    assert_eq!(code(&["destroy", ".."]), 2, "it would change the path");
    assert_eq!(code(&["operation", "list", "--tenant", "my-app"]), 5);
    assert_eq!(code(&["spawn", "x", "--language", "cobol"]), 4);
    assert_eq!(code(&["spawn", "x", "--language", "node"]), 1, "there is no engine");
    assert_eq!(code(&["--url", "http://127.0.0.1:1", "list"]), 3);

    let refused = server.cli(&["spawn", "x", "--language", "node", "--cpu", "99"]);
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.starts_with("error: limits.cpu:"), "{text}");
    let refused = server.cli(&["--json", "spawn", "x", "--language", "node", "--cpu", "99"]);
    let problem: serde_json::Value = serde_json::from_slice(&refused.stdout).expect("one document on standard output");
    assert_eq!(problem["violations"][0]["path"], "limits.cpu");
}

#[tokio::test]
async fn a_plan_is_readable() {
    let server = without_engine().await;
    let plan = server.cli(&["plan", "x", "--language", "go"]);
    let text = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.status.success() && text.contains("# Dockerfile") && text.contains("FROM "), "{text}");
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = Command::new(binary()).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{shell}");
    }
}

#[test]
fn a_wrong_configuration_is_told_with_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("convergence.toml");
    for (text, word) in
        [("colour = 1\n", "colour"), ("listen = \"0.0.0.0:3000\"\n", "loopback"), ("listen = 3\n", "listen")]
    {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(binary()).args(["serve", "--config"]).arg(&file).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(word), "{text}: {error}");
    }
}
