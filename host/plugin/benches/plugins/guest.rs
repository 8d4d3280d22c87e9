//! The guests, and the question they are asked.

use std::path::PathBuf;

use convergence_model::Limits;
use convergence_model::plan::Attribute;
use convergence_model::policy::{Organization, Review, Usage};
use serde_json::{Value, json};

/// A policy in one language.
pub(crate) struct Guest {
    pub(crate) language: &'static str,
    pub(crate) id: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// Such that it has something to look at, and finds nothing wrong.
    pub(crate) config: Value,
    /// Calls of each side that are timed.
    pub(crate) calls: usize,
    /// Calls of one side before the other has its turn.
    pub(crate) turn: usize,
    /// How often each side compiles it, and how often it loads its native code.
    pub(crate) compilations: usize,
    pub(crate) loads: usize,
}

/// Those whose language is chosen, or all of them where none is; from the smallest to the largest.
pub(crate) fn among(chosen: &[&str]) -> Vec<Guest> {
    let all = [
        ("rust", rust as fn() -> Guest),
        ("javascript", javascript),
        ("python", python),
        ("c-wasi", || with_wasi("c-wasi", "c", 5_000)),
        ("go-wasi", || with_wasi("go-wasi", "go", 1_000)),
        ("javascript-wasi", || with_wasi("javascript-wasi", "javascript", 500)),
        ("python-wasi", || with_wasi("python-wasi", "python", 300)),
    ];
    let named = all.iter().any(|(language, _)| chosen.contains(language));
    all.iter().filter(|(language, _)| !named || chosen.contains(language)).map(|(_, guest)| guest()).collect()
}

/// The policy of `convergence plugin new`, as the usual toolchain of a language makes it.
fn with_wasi(language: &'static str, toolchain: &str, calls: usize) -> Guest {
    Guest {
        language,
        id: Box::leak(format!("policy-in-{toolchain}").into_boxed_str()),
        bytes: component(&format!("toolchains/{toolchain}/policy.wasm")),
        config: json!({}),
        calls,
        turn: calls / 100,
        compilations: 1,
        loads: 5,
    }
}

/// The first-party policy: the smallest.
pub(crate) fn rust() -> Guest {
    Guest {
        language: "rust",
        id: "limits",
        bytes: component("policies/limits.wasm"),
        config: json!({}),
        calls: 5_000,
        turn: 50,
        compilations: 5,
        loads: 50,
    }
}

fn javascript() -> Guest {
    let labels = json!({ "labels": [
        { "key": "team", "pattern": "^[a-z][a-z0-9-]*$" },
        { "key": "stage", "values": ["test", "production"] },
        { "key": "cost-center", "onPlans": ["enterprise"] },
    ]});
    Guest {
        language: "javascript",
        id: "required-labels",
        bytes: component("examples/javascript/required-labels.wasm"),
        config: labels,
        calls: 1_000,
        turn: 10,
        compilations: 3,
        loads: 20,
    }
}

fn python() -> Guest {
    Guest {
        language: "python",
        id: "plan-quota",
        bytes: component("examples/python/plan-quota.wasm"),
        config: json!({ "plans": { "free": { "tenants": 3, "memoryMb": 1024, "largestMb": 512 } } }),
        calls: 500,
        turn: 5,
        compilations: 1,
        loads: 5,
    }
}

/// A spawn that none of them objects to.
pub(crate) fn review(config: &Value) -> Review {
    let label = |key: &str, value: &str| Attribute { key: key.to_owned(), value: value.to_owned() };
    Review {
        at: jiff::Timestamp::UNIX_EPOCH,
        action: "spawn".to_owned(),
        organization: Organization {
            id: "1".to_owned(),
            name: "Example".to_owned(),
            plan: "free".to_owned(),
            usage: Usage::default(),
        },
        actor_role: "admin".to_owned(),
        tenant_name: "my-app".to_owned(),
        language: "node".to_owned(),
        framework: Some("express".to_owned()),
        base_image: None,
        source: "starter".to_owned(),
        limits: Limits::DEFAULT,
        env_names: vec!["LOG_LEVEL".to_owned(), "DATABASE_URL".to_owned()],
        labels: vec![label("team", "shop-team"), label("stage", "test")],
        plan: None,
        config: config.to_string(),
        extra: Vec::new(),
    }
}

/// The policy `limits` as another plugin: the same but for its id.
pub(crate) fn member_of_crowd(limits: &[u8], number: usize) -> Vec<u8> {
    let (own, id) = (b"limitsLimits0.1.0", format!("p{number:05}"));
    let found: Vec<usize> =
        limits.windows(own.len()).enumerate().filter(|(_, window)| window == own).map(|(at, _)| at).collect();
    assert_eq!(found.len(), 1, "what it says about itself occurs once");
    let mut bytes = limits.to_vec();
    bytes[found[0]..found[0] + id.len()].copy_from_slice(id.as_bytes());
    bytes
}

fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let file = folder.join(name);
    std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask bench plugins` builds it", file.display()))
}
