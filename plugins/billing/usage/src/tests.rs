//! What the policy says about itself and refuses. What it charges is in `cases/`, which run against the component, and
//! against `cases/oracle.py` here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::Path;
use std::process::Command;

use convergence_plugin_api::PluginError;
use convergence_plugin_api::billing::{BillingPolicy, Interval, RatingInput, Segment, Series};

use crate::config::Config;
use crate::{CASES, Usage};

fn config(json: &str) -> Config {
    serde_json::from_str(json).unwrap()
}

fn input(usage: Vec<Series>) -> RatingInput {
    let period = Interval { start: "2026-01-01T00:00:00Z".into(), end: "2026-02-01T00:00:00Z".into() };
    RatingInput {
        organization: "1".into(),
        subscription: "s".into(),
        currency: "EUR".into(),
        minor_digits: 2,
        timezone: "UTC".into(),
        period: period.clone(),
        as_of: period.end.clone(),
        segments: vec![Segment { span: period, config: None, seats: "1".into(), days: vec![] }],
        usage,
        billed: vec![],
        balances: vec![],
        adjustments: vec![],
        rates: vec![],
        carry_in: vec![],
        config: "{}".into(),
        extra: vec![],
    }
}

fn series(quantity: &str, already_invoiced: &str) -> Series {
    Series {
        need: "requests".into(),
        meter: "api.requests".into(),
        unit: "request".into(),
        dimensions: vec![],
        quantity: quantity.into(),
        already_invoiced: already_invoiced.into(),
        buckets: vec![],
    }
}

const TIERED: &str = r#"{"prices":[{"id":"requests","title":"Requests","meter":"api.requests",
    "model":{"graduated":[{"upTo":"99","price":"0.05"},{"price":"0.04"}]}}]}"#;

#[test]
fn the_cases_are_what_fractions_say() {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/oracle.py");
    let output = Command::new("python3").arg(&oracle).output().expect("python3 runs the oracle");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
}

#[test]
fn every_case_is_an_example() {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap();
    let files = folder.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|it| it == "json"));
    assert_eq!(files.count(), CASES.len());
    let description = Usage::describe();
    assert_eq!(description.examples.len(), CASES.len());
    serde_json::from_str::<serde_json::Value>(&description.config_schema).unwrap();
    for example in description.examples {
        config(&example.config).check().unwrap();
    }
}

#[test]
fn units_between_whole_numbers_are_billed() {
    for (quantity, amount) in [("99", "4.95"), ("99.5", "4.97"), ("100", "4.99"), ("0.5", "0.025")] {
        let output = Usage::rate(&input(vec![series(quantity, "0")]), &config(TIERED)).unwrap();
        assert_eq!((output.lines[0].quantity.as_str(), output.lines[0].amount.as_str()), (quantity, amount));
    }
}

#[test]
fn late_events_and_corrections_cost_the_difference() {
    let rated = |quantity, invoiced| {
        let output = Usage::rate(&input(vec![series(quantity, invoiced)]), &config(TIERED)).unwrap();
        let line = output.lines.first().expect("there is a line");
        (line.kind.clone(), line.quantity.clone(), line.amount.clone())
    };
    assert_eq!(rated("110", "90"), ("usage".into(), "20".into(), "0.89".into()));
    assert_eq!(rated("90", "110"), ("correction".into(), "-20".into(), "-0.89".into()));
}

#[test]
fn nothing_used_is_no_line() {
    assert!(Usage::rate(&input(vec![series("0", "0")]), &config(TIERED)).unwrap().lines.is_empty());
    assert!(Usage::rate(&input(vec![series("7", "7")]), &config(TIERED)).unwrap().lines.is_empty());
}

#[test]
fn prices_that_make_no_sense_are_named() {
    let wrong = |price: &str| {
        let json = format!(r#"{{"prices":[{{"id":"a","title":"A","meter":"a",{price}}}]}}"#);
        let refused = Usage::terms(&config(&json));
        let Err(PluginError::InvalidConfig(errors)) = refused else { panic!("accepted: {json}") };
        errors[0].path.clone()
    };
    assert_eq!(wrong(r#""model":{"graduated":[{"upTo":"9"}]}"#), "prices[0].model");
    assert_eq!(wrong(r#""model":{"graduated":[{"upTo":"9"},{"upTo":"9"},{}]}"#), "prices[0].model");
    assert_eq!(wrong(r#""model":{"volume":[{},{"upTo":"9"}]}"#), "prices[0].model");
    assert_eq!(wrong(r#""model":{"package":{"size":"0","price":"1"}}"#), "prices[0].model");
    assert_eq!(wrong(r#""model":{"perUnit":"1"},"minimum":"2","maximum":"1""#), "prices[0].minimum");
    assert_eq!(wrong(r#""model":{"perUnit":"1"},"convert":{"divideBy":"0","unit":"x"}"#), "prices[0].convert");
    assert!(serde_json::from_str::<Config>(r#"{"commitment":1.5}"#).is_err(), "a float is no money");
}

#[test]
fn dimensions_make_keys_that_differ() {
    let key = |value: &str| {
        let mut series = series("1", "0");
        series.dimensions = vec![convergence_plugin_api::Attribute::new("route", value)];
        crate::key("requests", &series)
    };
    assert_eq!(key("/a b"), "usage:requests:/a=20b");
    assert_ne!(key(&format!("{}1", "x".repeat(300))), key(&format!("{}2", "x".repeat(300))));
    assert!(key(&"é".repeat(500)).len() <= 255);
}
