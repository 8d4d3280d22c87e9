//! The first-party billing policy, as a component: every case is rated and passes the host's checks, and comes to what
//! the case's oracle says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

use std::path::{Path, PathBuf};

use convergence_billing::{Rated, RatingFailure, Rule, limits, rate, rate_json};
use convergence_model::rating::RatingInput;
use convergence_sandbox::{Billing, Pooling, Sandbox, SandboxConfig};
use serde_json::Value;

fn policy() -> Billing {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let path = folder.join("billing/usage.wasm");
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}. Components are built by `cargo xtask guests`", path.display()));
    let sandbox = Sandbox::new(SandboxConfig { pooling: Pooling::Never, ..SandboxConfig::default() }).unwrap();
    sandbox.load(&bytes).unwrap().as_billing().expect("it is a billing policy")
}

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/billing/usage/cases");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let case = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            cases.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), case));
        }
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

fn case(name: &str) -> (String, RatingInput) {
    let (_, case) = cases().into_iter().find(|(found, _)| found == name).unwrap();
    let mut input: RatingInput = serde_json::from_value(case["input"].clone()).unwrap();
    input.config = case["config"].to_string();
    (input.config.clone(), input)
}

async fn rated(policy: &Billing, case: &Value) -> Rated {
    rate_json(policy, &case["config"].to_string(), &case["input"]).await.unwrap_or_else(|failure| panic!("{failure}"))
}

#[tokio::test]
async fn every_case_passes_the_checks_and_costs_what_fractions_say() {
    let policy = policy();
    let cases = cases();
    assert!(cases.len() >= 12, "{}", cases.len());
    for (name, case) in cases {
        let rated = rated(&policy, &case).await;
        let found: Vec<Value> = rated
            .lines
            .iter()
            .map(|line| serde_json::json!({ "key": line.line.key, "quantity": line.line.quantity, "amount": line.line.amount }))
            .collect();
        assert_eq!(Value::Array(found), case["expect"]["lines"], "{name}");
    }
}

#[tokio::test]
async fn the_same_facts_in_another_order_are_the_same_bill() {
    let policy = policy();
    for (name, mut case) in cases() {
        let first = serde_json::to_string(&rated(&policy, &case).await).unwrap();
        for list in ["usage", "balances", "adjustments", "billed"] {
            if let Some(list) = case["input"].get_mut(list).and_then(Value::as_array_mut) {
                list.reverse();
            }
        }
        let second = serde_json::to_string(&rated(&policy, &case).await).unwrap();
        assert_eq!(first, second, "{name}");
    }
}

#[tokio::test]
async fn lines_are_rounded_once_and_the_total_is_their_sum() {
    let (_, input) = case("per-unit");
    let rated = rate(&policy(), input).await.unwrap();
    let rounded: Vec<String> = rated.lines.iter().map(|line| line.rounded.to_string()).collect();
    assert_eq!((rounded, rated.total.to_string()), (vec!["154.31".to_owned(), "0.01".to_owned()], "154.32".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_rated_says_why() {
    let policy = policy();
    let (_, mut input) = case("graduated");
    input.usage.clear();
    let failure = rate(&policy, input.clone()).await.unwrap_err();
    let RatingFailure::Input(broken) = &failure else { panic!("{failure}") };
    assert_eq!(broken[0].rule, Rule::Needs);
    assert!(failure.to_string().contains("series requests"), "{failure}");
    input.config = r#"{"currencies":["USD"]}"#.to_owned();
    let failure = rate(&policy, input).await.unwrap_err();
    assert!(failure.to_string().contains("the bill is in EUR, and the terms allow USD"), "{failure}");
}

#[tokio::test]
async fn limits_come_from_the_price_list() {
    let (_, mut input) = case("graduated");
    input.config = r#"{"prices":[{"id":"requests","title":"Requests","meter":"api.requests","model":{"perUnit":"1"},
        "limit":{"maximum":"5000","action":"throttle","alerts":["0.8","1"]}}]}"#
        .to_owned();
    let found = limits(&policy(), input).await.unwrap();
    assert_eq!((found[0].maximum.to_string().as_str(), found[0].action.as_str()), ("5000", "throttle"));
}
