//! The main function in JSON: the same answers, under the same limits, as by the typed call.

use std::time::Duration;

use convergence_model::plan::{self, BuildPlan};
use convergence_sandbox::{CallError, CallLimits, Component, JsonAnswer, Pooling};
use serde_json::{Value, json};

use super::{component, limits, request, sandbox_with};

fn load(limits: CallLimits, name: &str) -> Component {
    sandbox_with(limits, Pooling::Auto).load(&component(name)).unwrap()
}

/// What `super::request` is in JSON.
fn input() -> Value {
    json!({ "tenantName": "my-app", "architecture": "amd64", "memoryMb": 512, "envNames": ["LOG_LEVEL"] })
}

fn review() -> Value {
    json!({
        "action": "spawn",
        "organization": {
            "id": "1", "name": "Example", "plan": "",
            "usage": { "tenants": 0, "cpuMillis": 0, "memoryMb": 0, "diskMb": 0 },
        },
        "actorRole": "admin",
        "tenantName": "my-app",
        "language": "node",
        "source": "starter",
        "limits": { "cpuMillis": 500, "memoryMb": 512, "diskMb": 2048, "replicas": 1, "pids": 256 },
    })
}

async fn answer(component: &Component, config: &str, input: &Value) -> Value {
    component.call_json(config, input).await.unwrap().result.unwrap().to_json()
}

async fn failure(limits: CallLimits, config: &str) -> CallError {
    load(limits, "fixtures/hostile").call_json(config, &input()).await.unwrap().result.unwrap_err()
}

#[tokio::test]
async fn a_plan_is_the_one_of_the_typed_call() {
    for (name, file) in [
        ("templates/node", ("package.json", r#"{"dependencies":{"express":"5"},"scripts":{"start":"node a.js"}}"#)),
        ("templates/go", ("go.mod", "module example.com/x\n\ngo 1.22\n")),
        ("templates/python", ("requirements.txt", "flask==3.1.0\n")),
        ("templates/static", ("index.html", "<p>Grüße</p>")),
        ("examples/rust/static-site", ("index.html", "<p>Grüße</p>")),
    ] {
        let component = load(limits(), name);
        let template = component.as_template().unwrap();
        let (path, text) = file;
        let mut typed = request("{}");
        let mut json = input();
        for with_source in [false, true] {
            if with_source {
                let contents = plan::Contents(text.as_bytes().to_vec());
                let file = plan::File { path: path.to_owned(), contents, executable: false };
                let paths = vec!["cmd/a/main.go".to_owned(), path.to_owned(), "main.py".to_owned()];
                typed.source = Some(plan::Source { paths: paths.clone(), files: vec![file] });
                json["source"] = json!({
                    "paths": paths, "files": [{ "path": path, "contents": text, "executable": false }]
                });
            }
            let expected = template.plan(&typed).await.unwrap();
            let plan: BuildPlan = serde_json::from_value(answer(&component, "{}", &json).await).unwrap();
            assert_eq!(plan, expected, "{name}, own source: {with_source}");
        }
    }
}

#[tokio::test]
async fn a_plan_says_what_the_contract_says_in_its_words() {
    let plan = answer(&load(limits(), "templates/node"), "{}", &input()).await;
    assert_eq!(plan["service"]["port"], 3000);
    assert!(plan["service"]["health"]["probe"]["http"].is_string(), "{}", plan["service"]["health"]);
    assert_eq!(plan["service"]["releaseCommand"], Value::Null);
    let manifest = plan["files"].as_array().unwrap().iter().find(|file| file["path"] == "package.json").unwrap();
    assert!(manifest["contents"].as_str().unwrap().contains("express"), "{manifest}");
    assert!(plan["stages"][0]["base"]["image"].is_string(), "{}", plan["stages"][0]);
}

#[tokio::test]
async fn foreseen_failures_are_errors_by_their_case() {
    let component = load(limits(), "fixtures/hostile");
    let refused = component.call_json(r#"{"do":"refuse"}"#, &input()).await.unwrap().result.unwrap();
    let JsonAnswer::Err(error) = &refused else { panic!("{refused:?}") };
    assert_eq!(error["invalid-input"][0]["path"], "framework");
    assert_eq!(answer(&component, r#"{"do":"fail"}"#, &input()).await, json!({"error": {"internal": "lost its head"}}));
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_told_with_its_place_and_calls_nothing() {
    let component = load(limits(), "fixtures/hostile");
    let wrong = json!({ "tenantName": "my-app", "architecture": 64, "memoryMB": 512 });
    let error = component.call_json("{}", &wrong).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.problems.len(), 3, "{text}");
    assert!(text.contains("architecture: expected text, found 64"), "{text}");
    assert!(text.contains("memoryMb: is missing; expected a whole number"), "{text}");
    assert!(text.contains("memoryMB: there is no such field"), "{text}");
}

#[tokio::test]
async fn limits_are_those_of_every_call() {
    assert!(matches!(failure(limits(), r#"{"do":"loop"}"#).await, CallError::OutOfFuel(_)));
    assert_eq!(failure(limits(), r#"{"do":"grow"}"#).await, CallError::OutOfMemory(32 << 20));
    let endless = CallLimits { fuel: u64::MAX, deadline: Duration::from_millis(100), ..limits() };
    assert_eq!(failure(endless, r#"{"do":"loop"}"#).await, CallError::DeadlineExceeded(Duration::from_millis(100)));
    let trap = failure(limits(), r#"{"do":"panic"}"#).await;
    assert!(matches!(&trap, CallError::Trap { panic: Some(text), .. } if text.contains("my-app")), "{trap:?}");
    let roomy = CallLimits { memory_bytes: 128 << 20, ..limits() };
    assert_eq!(failure(roomy, r#"{"do":"many-outputs"}"#).await, CallError::OutputTooLarge(8 << 20));
}

#[tokio::test]
async fn a_report_says_what_it_took() {
    let component = load(limits(), "fixtures/hostile");
    let reported = component.call_json(r#"{"do":"log-flood","rounds":3}"#, &input()).await.unwrap();
    let report = reported.report.unwrap();
    assert!(report.fuel_used > 0 && report.memory_bytes > 0, "{report:?}");
    assert_eq!(report.log.lines.len(), 4, "three lines and the panic");
}

#[tokio::test]
async fn a_policy_judges_and_cannot_widen() {
    let component = load(limits(), "fixtures/hostile-policy");
    assert_eq!(answer(&component, "{}", &review()).await, json!({ "violations": [], "tightened": null }));
    let denied = answer(&component, r#"{"do":"deny"}"#, &review()).await;
    assert_eq!(denied["violations"][0]["severity"], "deny");
    let tightened = answer(&component, r#"{"do":"tighten"}"#, &review()).await;
    assert_eq!(tightened["tightened"]["memoryMb"], 256);
    let widened = component.call_json(r#"{"do":"widen"}"#, &review()).await.unwrap().result.unwrap_err();
    assert!(matches!(&widened, CallError::InvalidAnswer(text) if text.contains("never widen")), "{widened}");
}
