//! What an author sees of real components: good ones, bad ones, and cases that hold or do not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

use std::fs;
use std::path::{Path, PathBuf};

use convergence_authoring::{CheckReport, Outcome, Step, Subject, SubjectError, bench, check, test};
use serde_json::{Value, json};

/// The bytes of a component that `cargo xtask guests` built.
fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let path = folder.join(name).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; build it with `cargo xtask guests`", path.display()))
}

/// A text of the component replaced by one as long, wherever it is.
fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let found: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).map(|(at, _)| at).collect();
    assert!(!found.is_empty(), "{from} is in the component");
    for at in found {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// A component with cases beside it.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(component: &[u8], cases: &[(&str, Value)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugin.wasm"), component).unwrap();
        fs::create_dir(folder.path().join("cases")).unwrap();
        for (name, case) in cases {
            fs::write(folder.path().join("cases").join(name), format!("{case:#}")).unwrap();
        }
        Self(folder)
    }

    fn subject(&self) -> Subject {
        Subject::prepare(&self.0.path().join("plugin.wasm")).unwrap()
    }

    fn case(&self, name: &str) -> PathBuf {
        self.0.path().join("cases").join(name)
    }
}

async fn checked(component: &[u8]) -> CheckReport {
    check(&Desk::new(component, &[]).subject()).await.unwrap()
}

/// What is wrong with a step. Empty when it passed.
fn problems(report: &CheckReport, step: Step) -> &[String] {
    match &report.steps.iter().find(|report| report.step == step).expect("it is a step of this kind").outcome {
        Outcome::Passed { .. } => &[],
        Outcome::Failed { problems } => problems,
        Outcome::Skipped => panic!("{step} was skipped"),
    }
}

fn skipped(report: &CheckReport) -> Vec<Step> {
    report.steps.iter().filter(|step| step.outcome == Outcome::Skipped).map(|step| step.step).collect()
}

fn request() -> Value {
    json!({ "tenantName": "my-app", "architecture": "amd64", "memoryMb": 64 })
}

#[tokio::test]
async fn the_products_own_plugins_pass_every_step() {
    for name in [
        "templates/node",
        "templates/go",
        "templates/python",
        "templates/static",
        "examples/rust/static-site",
        "policies/limits",
    ] {
        let report = checked(&component(name)).await;
        assert!(report.passed, "{name}: {report:#?}");
        assert_eq!(report.steps.len(), if name.starts_with("policies") { 8 } else { 10 });
        assert!(report.digest.starts_with("sha256:") && report.plugin.is_some());
    }
}

#[tokio::test]
async fn what_is_no_component_is_told_at_the_first_step_and_nothing_else_is_claimed() {
    let report = checked(b"\x7fELF").await;
    assert!(!report.passed && report.plugin.is_none());
    assert!(problems(&report, Step::Structure)[0].contains("not WebAssembly"));
    assert_eq!(skipped(&report).len(), 9, "{report:#?}");
}

#[tokio::test]
async fn everything_wrong_with_a_description_is_told_at_once() {
    // The id and the version of the template, as they stand in it one after the other.
    let bytes = replaced(component("fixtures/hostile"), "7.1.3", "7.1.x");
    let bytes = replaced(bytes, "hostileHostile7", "Hostile\nostile7");
    let report = checked(&bytes).await;
    let told = problems(&report, Step::Describe);
    assert_eq!(told.len(), 1, "{told:?}");
    for word in ["`id`", "`name`", "`version`"] {
        assert!(told[0].contains(word), "{told:?}");
    }
    assert_eq!(skipped(&report), [Step::Languages, Step::Configuration, Step::Examples, Step::Answers]);
    assert!(problems(&report, Step::Types).is_empty());
}

#[tokio::test]
async fn schema_examples_and_plans_are_looked_at_each_for_itself() {
    let site = component("examples/rust/static-site");
    let bytes = replaced(site, r#"["python3","/app/serve.py"]"#, r#"["python4","/app/serve.py"]"#);
    // A base image that no server allows unless told to, as long as the right one.
    let bytes = replaced(bytes, "python:3.12-slim-bookworm", "gh.io/pythons:3.12-slimmy");
    let report = checked(&bytes).await;
    assert!(problems(&report, Step::Configuration).is_empty());
    let examples = problems(&report, Step::Examples);
    assert_eq!(examples, [r#"`the starter page`: service.command[0]: expected "python4", found "python3""#]);
    let answers = problems(&report, Step::Answers);
    assert!(answers.iter().any(|problem| problem.contains("is not allowed")), "{answers:?}");
}

#[tokio::test]
async fn a_case_passes_or_says_what_differs_with_what_the_call_took() {
    let desk = Desk::new(
        &component("fixtures/hostile"),
        &[
            ("a.json", json!({ "name": "behaves", "input": request(), "expect": { "service": { "port": 8080 } } })),
            ("b.json", json!({ "input": request(), "expect": { "service": { "port": 1 } } })),
            ("c.json", json!({ "config": { "do": "panic" }, "input": request() })),
            (
                "d.json",
                json!({ "config": { "do": "refuse" }, "input": request(), "expect": { "error": "invalid-input" } }),
            ),
            ("e.json", json!({ "config": { "do": "loop" }, "input": request() })),
        ],
    );
    let report = test(&desk.subject(), false).await.unwrap();
    let passed: Vec<bool> = report.cases.iter().map(|case| case.passed).collect();
    assert_eq!(passed, [true, false, false, true, false], "{report:#?}");
    assert!(!report.passed);
    let [a, b, c, _, e] = &report.cases[..] else { panic!("{report:#?}") };
    assert!(a.dockerfile.as_ref().unwrap().contains("FROM debian:bookworm-slim"), "{a:#?}");
    assert!(a.took.unwrap().fuel > 0 && a.took.unwrap().memory_bytes > 0);
    assert_eq!((b.name.as_str(), b.differences[0].to_string().as_str()), ("b", "service.port: expected 1, found 8080"));
    assert!(c.failure.as_ref().unwrap().contains("told to panic"), "{c:#?}");
    assert!(c.log.iter().any(|line| line.level == "error" && line.message.contains("my-app")), "{c:#?}");
    assert!(e.failure.as_ref().unwrap().contains("did not answer within"), "{e:#?}");
}

#[tokio::test]
async fn an_answer_that_a_server_refuses_fails_its_case() {
    let desk = Desk::new(
        &component("templates/node"),
        &[(
            "a.json",
            json!({ "input": { "tenantName": "x", "architecture": "amd64", "memoryMb": 512,
            "baseImage": "ghcr.io/somebody/node:1" } }),
        )],
    );
    let report = test(&desk.subject(), false).await.unwrap();
    let case = &report.cases[0];
    assert!(!case.passed && case.differences.is_empty() && case.failure.is_none(), "{case:#?}");
    assert!(case.refusals[0].starts_with("baseImage: "), "{case:#?}");
}

#[tokio::test]
async fn blessing_changes_what_is_expected_and_nothing_else() {
    let desk = Desk::new(
        &component("fixtures/hostile"),
        &[("a.json", json!({ "name": "a", "input": request(), "expect": { "service": { "port": 1 } } }))],
    );
    let before = fs::read_to_string(desk.case("a.json")).unwrap();
    assert!(!test(&desk.subject(), false).await.unwrap().passed);
    assert_eq!(fs::read_to_string(desk.case("a.json")).unwrap(), before, "nothing is written unasked");
    let blessed = test(&desk.subject(), true).await.unwrap();
    assert!(blessed.passed && blessed.cases[0].blessed);
    assert_eq!(fs::read_to_string(desk.case("a.json")).unwrap(), before.replace("\"port\": 1\n", "\"port\": 8080\n"));
    let again = test(&desk.subject(), true).await.unwrap();
    assert!(again.passed && !again.cases[0].blessed);
}

#[tokio::test]
async fn a_file_that_is_no_case_and_a_folder_without_one_are_told() {
    let desk = Desk::new(&component("fixtures/hostile"), &[("a.json", json!({ "input": {}, "expects": {} }))]);
    let error = test(&desk.subject(), false).await.unwrap_err();
    assert!(matches!(&error, SubjectError::BadCase { file, .. } if file.ends_with("a.json")), "{error}");
    assert!(error.to_string().contains("expects"), "{error}");
    let empty = Desk::new(&component("fixtures/hostile"), &[]);
    assert!(matches!(test(&empty.subject(), false).await, Err(SubjectError::NoCases(_))));
    assert!(matches!(Subject::prepare(Path::new("/nonexistent")), Err(SubjectError::Project(_))));
}

#[tokio::test]
async fn a_benchmark_measures_every_case() {
    let case = |config: Value| json!({ "config": config, "input": request() });
    let good = Desk::new(
        &component("fixtures/hostile"),
        &[("a.json", case(json!({}))), ("b.json", case(json!({ "do": "work", "rounds": 100_000 })))],
    );
    let report = bench(&good.subject(), 20).await.unwrap();
    let [a, b] = &report.cases[..] else { panic!("{report:#?}") };
    assert_eq!((a.calls, b.calls), (20, 20));
    assert!(a.p50 <= a.p99 && a.p99 <= a.max && a.p50 < b.p50, "{report:#?}");
    assert!(b.fuel > a.fuel + 100_000 && report.calls_per_second > 0.0, "{report:#?}");
    let broken = Desk::new(&component("fixtures/hostile"), &[("a.json", case(json!({ "do": "trap" })))]);
    assert!(bench(&broken.subject(), 20).await.unwrap_err().to_string().contains("`a` has no answer"));
}

#[tokio::test]
async fn a_bill_that_does_not_add_up_fails_its_case() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/billing/usage/cases");
    let desk = Desk::new(&component("billing/usage"), &[]);
    let report = test(&desk.subject().with_cases(cases.clone()), false).await.unwrap();
    assert!(report.passed, "{report:#?}");
    assert!(report.cases.iter().all(|case| case.bill.as_ref().is_some_and(|bill| bill.ends_with("in all"))));

    // The policy does not mind, and nobody could be billed.
    let mut case: Value = serde_json::from_slice(&fs::read(cases.join("per-unit.json")).unwrap()).unwrap();
    case["input"]["currency"] = json!("EURO");
    case.as_object_mut().unwrap().remove("expect");
    let desk = Desk::new(&component("billing/usage"), &[("a.json", case)]);
    let report = test(&desk.subject(), false).await.unwrap();
    let [case] = &report.cases[..] else { panic!("{report:#?}") };
    assert!(!case.passed && case.answer.is_some() && case.bill.is_none(), "{case:#?}");
    assert!(case.refusals[0].contains("EURO"), "{case:#?}");
}
