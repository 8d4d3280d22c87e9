//! A billing policy that does its worst: every wrong answer is refused with its rule, every call of the host's arithmetic
//! is paid for, and nothing becomes a bill that should not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "says where components are, to tests alone")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use convergence_billing::{Rated, RatingFailure, Rule, rate_json};
use convergence_sandbox::{Billing, CallError, CallLimits, Pooling, Sandbox, SandboxConfig};
use serde_json::{Value, json};

fn policy(limits: CallLimits) -> Billing {
    let folder = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let path = folder.join("fixtures/hostile-billing.wasm");
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}. Components are built by `cargo xtask guests`", path.display()));
    let sandbox = Sandbox::new(SandboxConfig { limits, pooling: Pooling::Never, ..SandboxConfig::default() }).unwrap();
    sandbox.load(&bytes).unwrap().as_billing().expect("it is a billing policy")
}

fn input() -> Value {
    let period = json!({ "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z" });
    json!({
        "organization": "1", "subscription": "s-1", "currency": "EUR", "minorDigits": 2, "timezone": "UTC",
        "period": period, "asOf": "2026-02-01T00:00:00Z",
        "segments": [{ "span": period, "seats": "1" }],
        "usage": [{ "need": "units", "meter": "units", "unit": "unit", "quantity": "12.5", "alreadyInvoiced": "0" }],
    })
}

async fn told(policy: &Billing, act: &str) -> Result<Rated, RatingFailure> {
    rate_json(policy, &json!({ "do": act }).to_string(), &input()).await
}

#[tokio::test]
async fn wrong_answers_are_no_bill() {
    let policy = policy(CallLimits::default());
    assert_eq!(told(&policy, "bill").await.unwrap().total.to_string(), "12.5");
    for (act, rule, words) in [
        ("pad", Rule::StepsSum, "line units: its steps sum to 12.5, and it says 12.51"),
        ("twice", Rule::Coverage, "the answer bills 12.5 and waives 12.5"),
        ("forget", Rule::Coverage, "12.5 unit are open"),
        ("unknown", Rule::Terms, "does not know the aggregation `median`"),
    ] {
        let failure = told(&policy, act).await.expect_err(act);
        let RatingFailure::Refused(broken) = &failure else { panic!("{act}: {failure}") };
        assert!(broken.iter().any(|broken| broken.rule == rule), "{act}: {failure}");
        assert!(failure.to_string().contains(words), "{act}: {failure}");
    }
    for (act, words) in [("float", "lines[0].steps[0].amount"), ("time", "lines[0].span.start")] {
        let failure = told(&policy, act).await.expect_err(act);
        let RatingFailure::Call { function: "rate", error: CallError::InvalidAnswer(message) } = &failure else {
            panic!("{act}: {failure}")
        };
        assert!(message.contains(words), "{message}");
    }
    let failure = told(&policy, "panic").await.unwrap_err();
    assert!(failure.to_string().contains(r#"told to panic about "s-1""#), "{failure}");
}

#[tokio::test]
async fn the_hosts_arithmetic_answers_and_never_traps() {
    let rated = told(&policy(CallLimits::default()), "math").await.unwrap();
    let answer = |key: &str| rated.carry_out.iter().find(|pair| pair.key == key).expect(key).value.as_str();
    for (key, expected) in [
        ("add", "0.3"),
        ("sub", "0"),
        ("mul", "-0.03"),
        ("div", "0.6667"),
        ("round", "0.12"),
        ("sum", "0.6"),
        ("sum-of-nothing", "0"),
        ("compare", "0"),
        ("allocate", "33.34 33.33 33.33"),
        ("overflow", "MathError::Overflow"),
        ("division-by-zero", "MathError::DivisionByZero"),
        ("no-weight", "MathError::DivisionByZero"),
    ] {
        assert_eq!(answer(key), expected, "{key}");
    }
    assert!(answer("not-a-decimal").contains("1e3"));
    assert!(answer("very-long").len() < 200, "it is cut: {}", answer("very-long").len());
    for key in ["scale", "negative-weight", "too-many"] {
        assert!(answer(key).contains("OutOfBounds"), "{key}: {}", answer(key));
    }
}

#[tokio::test]
async fn the_hosts_arithmetic_is_paid_for() {
    // A deadline that ends nothing here: fuel does, at the same place on every machine.
    let limits = CallLimits { fuel: 100_000_000, deadline: Duration::from_secs(60), ..CallLimits::default() };
    let policy = policy(limits);
    for act in ["spend", "spend-text", "spend-weights"] {
        let started = Instant::now();
        let failure = told(&policy, act).await.expect_err(act);
        let RatingFailure::Call { error: CallError::OutOfFuel(_), .. } = &failure else { panic!("{act}: {failure}") };
        // In a debug build, on a busy machine: an unpaid host would go on until the deadline.
        assert!(started.elapsed() < Duration::from_secs(30), "{act} took {:?}", started.elapsed());
    }
}
