//! What the policy answers, as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use convergence_plugin_api::policy::{Limits as Asked, Organization, PlanSummary, Policy, Review, Severity, Usage};
use convergence_plugin_api::{Description, PluginError};

use crate::Limits;
use crate::config::Config;

fn review(change: impl FnOnce(&mut Review)) -> Review {
    let mut review = Review {
        action: "spawn".into(),
        organization: Organization {
            id: "1".into(),
            name: "Example".into(),
            plan: String::new(),
            usage: Usage { tenants: 0, cpu_millis: 0, memory_mb: 0, disk_mb: 0 },
        },
        actor_role: "admin".into(),
        tenant_name: "my-app".into(),
        language: "node".into(),
        framework: None,
        base_image: None,
        source: "starter".into(),
        limits: Asked { cpu_millis: 500, memory_mb: 512, disk_mb: 2048, replicas: 1, pids: 256 },
        env_names: vec![],
        labels: vec![],
        plan: None,
        config: "{}".into(),
        extra: vec![],
    };
    change(&mut review);
    review
}

fn config(json: &str) -> Config {
    serde_json::from_str(json).unwrap()
}

fn found(json: &str, change: impl FnOnce(&mut Review)) -> Vec<(String, String, String)> {
    let verdict = Limits::evaluate(&review(change), &config(json)).unwrap();
    assert_eq!(verdict.tightened, None);
    verdict.violations.into_iter().map(|violation| (violation.path, violation.code, violation.message)).collect()
}

fn one(json: &str, change: impl FnOnce(&mut Review)) -> (String, String, String) {
    let mut found = found(json, change);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn the_default_bounds_include_their_ends() {
    for (cpu_millis, memory_mb, disk_mb) in [(1, 256, 1024), (4000, 8192, u32::MAX), (500, 512, 2048)] {
        let asked = Asked { cpu_millis, memory_mb, disk_mb, replicas: 1, pids: 1 };
        assert_eq!(found("{}", |review| review.limits = asked), []);
    }
    assert_eq!(found("{}", |review| review.tenant_name = "é".repeat(100)), []);
}

#[test]
fn each_bound_is_kept() {
    type Change = fn(&mut Review);
    let cases: [(Change, &str, &str); 9] = [
        (|review| review.limits.cpu_millis = 0, "limits.cpu", "cpu-below-minimum"),
        (|review| review.limits.cpu_millis = 4001, "limits.cpu", "cpu-above-maximum"),
        (|review| review.limits.memory_mb = 255, "limits.memoryMb", "memory-below-minimum"),
        (|review| review.limits.memory_mb = 8193, "limits.memoryMb", "memory-above-maximum"),
        (|review| review.limits.disk_mb = 1023, "limits.diskMb", "disk-below-minimum"),
        (|review| review.limits.replicas = 11, "limits.replicas", "replicas-above-maximum"),
        (|review| review.tenant_name = String::new(), "name", "name-below-minimum"),
        (|review| review.tenant_name = "x".repeat(101), "name", "name-above-maximum"),
        (|review| review.tenant_name = "x\nADD".into(), "name", "name-not-printable"),
    ];
    for (change, path, code) in cases {
        let (found_path, found_code, _) = one("{}", change);
        assert_eq!((found_path.as_str(), found_code.as_str()), (path, code));
    }
}

#[test]
fn a_message_has_the_value_the_bound_and_what_to_do() {
    let (.., message) = one("{}", |review| review.limits.cpu_millis = 4500);
    assert_eq!(message, "4.5 cores is above the maximum of 4; ask for 0.001 to 4");
    let (.., message) = one("{}", |review| review.limits.disk_mb = 10);
    assert_eq!(message, "10 MiB of disk is below the minimum of 1024; ask for 1024 or more");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let found = found(r#"{"languages":["go"]}"#, |review| {
        review.limits.cpu_millis = 9000;
        review.limits.memory_mb = 1;
    });
    let paths: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["limits.cpu", "limits.memoryMb", "language"]);
}

#[test]
fn the_operator_moves_the_bounds() {
    assert_eq!(found(r#"{"cpu":{"maximum":8}}"#, |review| review.limits.cpu_millis = 8000), []);
    let (_, code, _) = one(r#"{"diskMb":{"maximum":2000}}"#, |_| {});
    assert_eq!(code, "disk-above-maximum");
}

#[test]
fn what_takes_nothing_passes() {
    for action in ["destroy", "stop", "something-new"] {
        let found = found("{}", |review| {
            review.action = action.into();
            review.limits.memory_mb = 1;
        });
        assert_eq!(found, []);
    }
}

#[test]
fn scratch_space_beyond_memory_is_warned_of() {
    let plan = |writable_mb| PlanSummary {
        images: vec![],
        command: vec![],
        port: 3000,
        volumes: vec![],
        writable_mb,
        files: 0,
        build_steps: 0,
        release_command: false,
    };
    let judge = |writable_mb| {
        let review = review(|review| review.plan = Some(plan(writable_mb)));
        Limits::evaluate(&review, &config("{}")).unwrap().violations
    };
    assert_eq!(judge(64), []);
    assert_eq!(judge(512)[0].severity, Severity::Warn);
}

#[test]
fn bounds_that_exclude_each_other_are_named() {
    let judged = Limits::evaluate(&review(|_| {}), &config(r#"{"cpu":{"minimum":5}}"#));
    let Err(PluginError::InvalidConfig(errors)) = judged else { panic!("accepted: {judged:?}") };
    assert_eq!(errors[0].path, "cpu.minimum");
    assert_eq!(errors[0].message, "the minimum of 5 is above the maximum of 4; nothing would be allowed");
}

#[test]
fn the_schema_and_the_examples_are_json_that_the_policy_reads() {
    let Description { config_schema, examples, .. } = Limits::describe();
    let schema: serde_json::Value = serde_json::from_str(&config_schema).unwrap();
    let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let every = fields.iter().map(|field| if *field == "languages" { "[\"go\"]" } else { "{}" });
    let every: Vec<String> = fields.iter().zip(every).map(|(field, value)| format!("\"{field}\":{value}")).collect();
    config(&format!("{{{}}}", every.join(",")));
    for example in examples {
        config(&example.config);
        for json in [Some(example.input), example.expect].into_iter().flatten() {
            serde_json::from_str::<serde_json::Value>(&json).unwrap();
        }
    }
}
