//! Authors at their desk: projects as `convergence plugin new` makes them, and the guide that leads through it. No
//! server and no engine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::without_engine;
use crate::harness::Server;
use crate::harness::server::binary;
use crate::harness::workspace;

/// Where Cargo builds the projects of these tests: one folder for all, or each would compile the SDK's dependencies.
fn cargo_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("authoring")
}

/// Runs `convergence plugin …` in a folder.
pub(super) fn plugin(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(folder).env("CARGO_TARGET_DIR", cargo_target()).env_remove("CONVERGENCE_URL");
    command.args(["--json", "plugin"]).args(arguments).output().expect("the binary can be run")
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The document that a command printed; panics with what it said where it failed.
pub(super) fn document(output: &Output) -> Value {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{error}");
    serde_json::from_str(&out).unwrap_or_else(|wrong| panic!("{wrong}: {out}"))
}

/// Makes a project of every kind, takes each through all that its author would do, as it was made, and installs it on a
/// running server, where it does what it is for.
async fn scaffolds_work_as_generated(language: &str, kinds: &[&str]) {
    let folder = TempDir::new().unwrap();
    let server = without_engine().await;
    for kind in kinds {
        let kind = *kind;
        let name = format!("{language}-{kind}");
        let made = document(&plugin(folder.path(), &["new", "--kind", kind, "--lang", language, &name]));
        assert_eq!((&made["kind"], &made["language"]), (&kind.into(), &language.into()));
        let project = folder.path().join(&name);
        let built = document(&plugin(&project, &["build"]));
        assert_eq!(
            (&built["kind"], &built["id"], &built["version"]),
            (&kind.into(), &name.as_str().into(), &"0.1.0".into())
        );
        assert!(project.join("build").join(&name).with_extension("wasm").is_file());
        document(&plugin(&project, &["check"]));
        let tested = document(&plugin(&project, &["test"]));
        let cases = fs::read_dir(project.join("cases")).unwrap().count();
        assert!(cases >= 2 && tested["cases"].as_array().unwrap().len() == cases, "{tested}");
        serve(&server, kind, &name, &project).await;
    }
}

/// Installs a component and has it do what plugins of its kind do.
async fn serve(server: &Server, kind: &str, id: &str, project: &Path) {
    let component = fs::read(project.join("build").join(id).with_extension("wasm")).unwrap();
    let upload = server.http.request(Method::POST, "/api/v1/plugins").header("content-type", "application/wasm");
    let installed = server.http.send(upload.body(component)).await.expect(201);
    assert_eq!(installed["active"], true, "{installed}");
    if kind == "template" {
        let plan = json!({ "name": "x", "language": installed["plugin"]["languages"][0] });
        let answer = server.http.post("/api/v1/tenant/plan", &plan).await.expect(200);
        assert!(answer["dockerfile"].as_str().unwrap().contains("FROM"), "{answer}");
        return;
    }
    // A policy refuses something; a billing policy says what something costs.
    let telling = if kind == "policy" { "violations" } else { "lines" };
    let cases = fs::read_dir(project.join("cases")).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let mut cases = cases.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
    let golden = cases
        .find(|case| case["expect"][telling].as_array().is_some_and(|list| !list.is_empty()))
        .unwrap_or_else(|| panic!("no case of {id} expects {telling}"));
    let config = golden.get("config").cloned().unwrap_or_else(|| json!({}));
    let question = json!({ "input": golden["input"], "config": config });
    let answer = server.http.post(&format!("/api/v1/plugins/{id}/try"), &question).await.expect(200);
    assert!(holds(&golden["expect"], &answer["answer"]), "{id}: expected {}, got {answer}", golden["expect"]);
}

/// Whether everything that is expected is there.
fn holds(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| holds(value, found)))
        }
        (Value::Array(expected), Value::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(a, b)| holds(a, b))
        }
        (expected, found) => expected == found,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_in_python_is_built_again_after_a_change() {
    let folder = TempDir::new().unwrap();
    document(&plugin(folder.path(), &["new", "--kind", "policy", "--lang", "python", "again"]));
    let project = folder.path().join("again");
    for change in ["", "\n# A change.\n"] {
        let source = project.join("src/plugin.py");
        fs::write(&source, fs::read_to_string(&source).unwrap() + change).unwrap();
        document(&plugin(&project, &["build"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_scaffolds_work_as_generated() {
    scaffolds_work_as_generated("rust", &["template", "policy", "billing"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_scaffolds_work_as_generated() {
    scaffolds_work_as_generated("c", &["template", "policy", "billing"]).await;
}

// One test a kind: the interpreter in each takes long to compile.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_template_works_as_generated() {
    scaffolds_work_as_generated("python", &["template"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_policy_works_as_generated() {
    scaffolds_work_as_generated("python", &["policy"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_billing_policy_works_as_generated() {
    scaffolds_work_as_generated("python", &["billing"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_scaffolds_work_as_generated() {
    scaffolds_work_as_generated("javascript", &["template", "policy", "billing"]).await;
}

/// A folder to stand for `PATH`, with these shell scripts in it and nothing else.
fn path_with(scripts: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, script) in scripts {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn a_missing_toolchain_is_named_with_the_command_that_installs_it() {
    let folder = TempDir::new().unwrap();
    let nothing: &[(&str, &str)] = &[];
    let old = [("rustc", "echo /nowhere/lib"), ("cargo", "exit 1")];
    let old_with_rustup = [("rustc", "echo /nowhere/lib"), ("cargo", "exit 1"), ("rustup", "echo rustup 1")];
    // A clang as Apple makes it; and one whose linker is not there.
    let no_wasm = [("clang", "echo '  x86-64 - 64-bit X86'")];
    let no_linker = [("clang", "case $1 in --print-targets) echo '  wasm32 - WebAssembly';; *) echo wasm-ld;; esac")];
    let bare_python = [("python3", "case $1 in --version) echo Python 3.11;; *) exit 1;; esac")];
    let bare_node = [("node", "case $1 in --version) echo v20;; *) exit 1;; esac")];
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 10] = [
        ("rust", nothing, "rustup.rs"),
        ("rust", &old, "apt-get install libstd-rust-dev-wasm32"),
        ("rust", &old_with_rustup, "rustup target add wasm32-unknown-unknown"),
        ("c", nothing, "apt-get install clang lld"),
        ("c", &no_wasm, "pip install ziglang"),
        ("c", &no_linker, "apt-get install clang lld"),
        ("python", nothing, "apt-get install python3"),
        ("python", &bare_python, "pip install -r requirements.txt"),
        ("javascript", nothing, "apt-get install nodejs"),
        ("javascript", &bare_node, "npm ci"),
    ];
    for (number, (language, scripts, install)) in cases.into_iter().enumerate() {
        let name = format!("p{number}");
        document(&plugin(folder.path(), &["new", "--kind", "policy", "--lang", language, &name]));
        let path = path_with(scripts);
        let built = Command::new(binary())
            .args(["plugin", "build"])
            .arg(folder.path().join(&name))
            .env("PATH", path.path())
            .output()
            .unwrap();
        let error = text(&built.stderr);
        assert_eq!(built.status.code(), Some(1), "{error}");
        assert!(error.contains("is missing") && error.contains(install), "{number}: {error}");
    }
}

#[test]
fn what_the_compiler_says_reaches_the_author_and_the_last_component_stays() {
    let folder = TempDir::new().unwrap();
    document(&plugin(folder.path(), &["new", "--kind", "policy", "--lang", "c", "broken"]));
    let project = folder.path().join("broken");
    document(&plugin(&project, &["build"]));
    let component = fs::read(project.join("build/broken.wasm")).unwrap();
    let source = project.join("src/policy.c");
    fs::write(&source, fs::read_to_string(&source).unwrap() + "\nint x = nonsense;\n").unwrap();
    let failed = plugin(&project, &["build"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("nonsense"), "{}", text(&failed.stderr));
    assert_eq!(fs::read(project.join("build/broken.wasm")).unwrap(), component);
    // A system that is not there must be asked for nothing: the linker says what is missing.
    let good = fs::read_to_string(&source).unwrap().replace("int x = nonsense;", "");
    let call = good.replace(
        "  (void)error;\n",
        "  (void)error;\n  extern int getpid(void);\n  if (getpid() == 1) return false;\n",
    );
    fs::write(&source, call).unwrap();
    let failed = plugin(&project, &["build"]);
    assert!(text(&failed.stderr).contains("getpid"), "{}", text(&failed.stderr));
}

#[test]
fn an_answer_that_does_not_fit_the_contract_is_told_to_the_author_of_a_script() {
    let folder = TempDir::new().unwrap();
    document(&plugin(folder.path(), &["new", "--kind", "policy", "--lang", "javascript", "wrong"]));
    let project = folder.path().join("wrong");
    let source = project.join("src/plugin.js");
    let wrong = fs::read_to_string(&source).unwrap().replace("severity: 'deny' }] };", "severity: 'no' }] };");
    fs::write(&source, wrong).unwrap();
    let tested = plugin(&project, &["test"]);
    let said = text(&tested.stdout);
    assert!(!tested.status.success(), "{said}");
    assert!(said.contains("violations[0].severity must be one of deny, warn, and is"), "{said}");
    // What JavaScript itself cannot read is told when it is built.
    fs::write(&source, "export const metadata = {").unwrap();
    let built = plugin(&project, &["build"]);
    assert!(!built.status.success() && text(&built.stderr).contains("/src/plugin.js:1"), "{}", text(&built.stderr));
}

#[test]
fn no_project_is_made_over_somebodys_files_or_under_a_name_that_is_none() {
    let folder = TempDir::new().unwrap();
    let new = |name: &str| plugin(folder.path(), &["new", "--kind", "policy", "--lang", "c", name]);
    document(&new("mine"));
    let again = new("mine");
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stdout).contains("not empty"), "{}", text(&again.stdout));
    assert_eq!(new("../x").status.code(), Some(1));
    assert_eq!(plugin(folder.path(), &["new", "--kind", "poem", "--lang", "c", "x"]).status.code(), Some(2));
    let nowhere = plugin(folder.path(), &["build"]);
    assert!(text(&nowhere.stdout).contains("plugin new"), "{}", text(&nowhere.stdout));
}

/// Runs what a section of the guide tells its reader to type, in order and in one shell, as the reader would.
fn guide(section: &str) {
    let guide = fs::read_to_string(workspace().join("docs/plugins/getting-started.md")).unwrap();
    let commands = commands(&guide, section);
    assert!(commands.lines().count() >= 3, "there is nothing to type in `{section}`");
    let folder = TempDir::new().unwrap();
    let binary = binary();
    let programs = binary.parent().unwrap().display();
    let path = Command::new("sh").args(["-c", "echo $PATH"]).output().unwrap();
    let ran = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &commands])
        .current_dir(folder.path())
        .env("PATH", format!("{programs}:{}", text(&path.stdout).trim()))
        .env("CARGO_TARGET_DIR", cargo_target())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{section}:\n{}\n{}", text(&ran.stdout), text(&ran.stderr));
}

/// The blocks marked `sh` under a heading, up to the next one of its rank.
fn commands(guide: &str, section: &str) -> String {
    let (mut inside, mut typed, mut found) = (false, false, String::new());
    for line in guide.lines() {
        match line {
            heading if !typed && heading.starts_with("## ") => inside = heading == format!("## {section}"),
            "```sh" if inside => typed = true,
            "```" => typed = false,
            line if typed => found.extend([line, "\n"]),
            _ => {}
        }
    }
    found
}

#[test]
fn the_guide_works_in_rust() {
    guide("Rust");
}

#[test]
fn the_guide_works_in_c() {
    guide("C");
}

#[test]
fn the_guide_works_in_python() {
    guide("Python");
}

#[test]
fn the_guide_works_in_javascript() {
    guide("JavaScript");
}

#[test]
fn what_is_typed_is_found_in_a_guide() {
    let guide =
        "## A\n```sh\none\n## no heading\n```\ntext\n```toml\nx = 1\n```\n```sh\ntwo\n```\n## B\n```sh\nthree\n```\n";
    assert_eq!(commands(guide, "A"), "one\n## no heading\ntwo\n");
    assert_eq!(commands(guide, "C"), "");
}
