//! What a guest with WASI can reach and observe: each sentence of `docs/security.md` about it.

use std::time::Duration;

use convergence_model::plan::PlanRequest;
use convergence_sandbox::{
    CallError, CallLimits, CallReport, LoadError, LogLevel, Pooling, Sandbox, SandboxConfig, Wasi,
};
use jiff::Timestamp;

use super::{component, limits, request, sandbox_with, template_with};

const GUEST: &str = "fixtures/hostile-wasi";

/// 2026-11-27T12:00:00Z.
const NOON: i64 = 1_795_780_800;

fn at(seconds: i64, config: &str) -> PlanRequest {
    PlanRequest { at: Timestamp::from_second(seconds).unwrap(), ..request(config) }
}

/// What a deed ends with: the notes of the plan, or a fault; and what it took.
async fn doing(limits: CallLimits, deed: &str) -> (Result<Vec<String>, CallError>, CallReport) {
    let answer = template_with(limits, GUEST).plan_reported(&at(NOON, &format!(r#"{{"do":"{deed}"}}"#))).await;
    (answer.result.map(|plan| plan.notes), answer.report.expect("it was called"))
}

async fn observed(request: &PlanRequest) -> Vec<String> {
    template_with(limits(), GUEST).plan(request).await.unwrap().notes
}

#[tokio::test]
async fn a_guest_is_given_nothing() {
    let seen = observed(&at(NOON, r#"{"do":"observe"}"#)).await;
    for line in [
        "environment []",
        "arguments []",
        "current directory None",
        "folders 0",
        "stdin Err(\"StreamError::Closed\")",
        "terminals 0",
        "monotonic clock 1000010000",
        "monotonic clock 1000020000",
        "monotonic clock 1000030000",
    ] {
        assert!(seen.iter().any(|seen| seen == line), "{line} is not in {seen:#?}");
    }
}

#[tokio::test]
async fn clocks_show_when_the_request_was_accepted_and_no_other_time() {
    let seen = observed(&at(NOON, r#"{"do":"observe"}"#)).await;
    let clock = format!("Datetime {{ seconds: {NOON}, nanoseconds: 0 }}");
    let shown = seen.iter().filter(|line| line.contains(&clock)).count();
    assert_eq!(shown, 2, "before and after five seconds: {seen:#?}");
    assert!(seen.contains(&"after five seconds 6000040000".to_owned()), "{seen:#?}");
}

#[tokio::test]
async fn the_same_input_shows_the_same() {
    let asked = at(NOON, r#"{"do":"observe"}"#);
    let first = observed(&asked).await;
    assert_eq!(first, observed(&asked).await, "in another sandbox");

    let other = observed(&PlanRequest { tenant_name: "other-app".to_owned(), ..asked.clone() }).await;
    let random = |seen: &[String]| -> Vec<String> {
        seen.iter()
            .filter(|line| ["random", "insecure", "seed"].iter().any(|word| line.starts_with(word)))
            .cloned()
            .collect()
    };
    assert_eq!(random(&first).len(), 5, "{first:#?}");
    assert!(random(&first).iter().zip(random(&other)).all(|(a, b)| *a != b), "{first:#?}\n{other:#?}");

    let a_year_later =
        observed(&PlanRequest { at: Timestamp::from_second(NOON + 365 * 86_400).unwrap(), ..asked }).await;
    assert_eq!(random(&first), random(&a_year_later), "time is no input");
}

#[tokio::test]
async fn every_way_to_the_network_is_denied_and_counted() {
    let (notes, report) = doing(limits(), "network").await;
    let notes = notes.unwrap();
    let denied = |line: &String| line.contains("access-denied") || line.contains("HttpRequestDenied");
    assert_eq!(notes.iter().filter(|line| denied(line)).count(), 4, "{notes:#?}");
    assert_eq!(report.network_attempts, 4);
    let lines: Vec<&str> = report.log.lines.iter().map(|line| line.message.as_str()).collect();
    assert!(matches!(lines[..], [line] if line.contains("tried to open a TCP socket")), "{lines:?}");
}

#[tokio::test]
async fn what_is_printed_goes_to_the_log_in_order() {
    let (answer, report) = doing(limits(), "print").await;
    answer.unwrap();
    let lines: Vec<_> = report.log.lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    let expected =
        [(LogLevel::Info, "to standard output"), (LogLevel::Warn, "to standard error"), (LogLevel::Info, "to the log")];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_fault_is_explained_by_what_was_printed_before() {
    let (answer, _) = doing(limits(), "explain").await;
    let CallError::Trap { panic: Some(words), .. } = answer.unwrap_err() else { panic!("it should trap") };
    assert_eq!(words, "Traceback (most recent call last):\n  ValueError: no tier 7");
}

#[tokio::test]
async fn nobody_waits_for_a_guest_that_sleeps() {
    let begun = std::time::Instant::now();
    doing(limits(), "sleep").await.0.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(600), "it slept for an hour");
    assert_eq!(doing(limits(), "race").await.0.unwrap(), ["ready [1]"]);
}

#[tokio::test]
async fn each_misuse_ends_in_a_named_fault() {
    let few = CallLimits { fuel: 5_000_000, ..limits() };
    for (deed, says) in [
        ("pollables", "table"),
        ("flood", "what it printed"),
        ("sleep-for-ever", "more than 10000 times"),
        ("spin-for-ever", "instructions"),
        ("random", "1073741824"),
        ("exit", "exit code 0 instead of answering"),
        ("exit-failed", "exit code 1 instead of answering; its last words: fatal: cannot go on"),
        ("stall", "waits for something that never comes"),
        ("wait-for-nothing", "empty poll list"),
    ] {
        let (answer, _) = doing(few, deed).await;
        let error = answer.expect_err(deed);
        assert!(error.to_string().contains(says), "{deed}: {error}");
        assert!(error.is_plugins_fault(), "{deed}: {error}");
    }
    doing(limits(), "spin").await.0.expect("a loop on the clock ends");
    doing(limits(), "behave").await.0.expect("the others do not matter to it");
}

#[test]
fn an_operator_can_refuse_wasi() {
    let config = SandboxConfig { wasi: Wasi::Refuse, limits: limits(), ..SandboxConfig::default() };
    let refused = Sandbox::new(config).unwrap().load(&component(GUEST)).unwrap_err();
    assert!(matches!(&refused, LoadError::WasiRefused { imports } if imports.len() > 10), "{refused}");
    assert!(refused.to_string().contains("[plugins] wasi"), "{refused}");
    sandbox_with(limits(), Pooling::Auto).load(&component(GUEST)).expect("it is taken in otherwise");
}
