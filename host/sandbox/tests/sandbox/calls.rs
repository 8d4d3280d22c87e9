//! What a call gives, and what ends one.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use convergence_model::Limits;
use convergence_model::policy::{Organization, Review, Usage};
use convergence_sandbox::{CallError, CallLimits, LogLevel, PluginError, Pooling, Sandbox, SandboxConfig, Template};
use rustix::time::{ClockId, clock_gettime};

use super::{component, limits, request, sandbox_with, template_with};

/// The error of the hostile template told to do this, after which it must still be usable.
async fn failure(limits: CallLimits, config: &str) -> CallError {
    let template = template_with(limits, "fixtures/hostile");
    let error = template.plan(&request(config)).await.expect_err("it should fail");
    template.plan(&request("{}")).await.expect("the next call is not affected");
    error
}

#[tokio::test]
async fn a_plan_comes_back_whole() {
    let template = template_with(limits(), "templates/node");
    assert_eq!(template.languages()[0].name, "node");
    assert!(template.wants().iter().any(|pattern| pattern.contains("package.json")));
    let answer = template.plan_reported(&request("{}")).await;
    let plan = answer.result.unwrap();
    assert_eq!(plan, template.plan(&request("{}")).await.unwrap(), "the same request gives the same plan");
    assert!(!plan.stages.is_empty());
    assert!(plan.files.iter().any(|file| file.path.ends_with("package.json")));
    let report = answer.report.unwrap();
    assert!(report.fuel_used > 0 && report.memory_bytes > 0, "{report:?}");
}

/// A guest that grows its memory waits for a lock that hostile ones hold.
#[tokio::test]
async fn a_template_plans_in_the_memory_it_begins_with() {
    for name in ["templates/node", "templates/python", "templates/go", "templates/static"] {
        let bytes = component(name);
        let mut pages = 0;
        for part in wasmparser::Parser::new(0).parse_all(&bytes) {
            if let wasmparser::Payload::MemorySection(memories) = part.unwrap() {
                pages += memories.into_iter().map(|memory| memory.unwrap().initial).sum::<u64>();
            }
        }
        let answer = template_with(limits(), name).plan_reported(&request("{}")).await;
        answer.result.unwrap();
        let memory = u64::try_from(answer.report.unwrap().memory_bytes).unwrap();
        assert_eq!(memory, pages << 16, "{name} grew its memory");
    }
}

#[tokio::test]
async fn instances_come_from_a_pool_and_without_one() {
    for (pooling, pooled) in [(Pooling::Always, true), (Pooling::Never, false)] {
        let sandbox = sandbox_with(limits(), pooling);
        assert_eq!(sandbox.is_pooled(), pooled);
        let template = sandbox.load(&component("fixtures/hostile")).unwrap().as_template().unwrap();
        template.plan(&request("{}")).await.unwrap();
    }
}

#[tokio::test]
async fn a_component_outlives_the_sandbox_that_loaded_it() {
    let template = template_with(
        CallLimits { deadline: Duration::from_millis(50), fuel: u64::MAX, ..limits() },
        "fixtures/hostile",
    );
    template.plan(&request("{}")).await.unwrap();
    // The clock still runs.
    let error = template.plan(&request(r#"{"do":"loop"}"#)).await.unwrap_err();
    assert!(matches!(error, CallError::DeadlineExceeded(_)), "{error}");
}

#[tokio::test]
async fn nothing_survives_a_call() {
    let template = template_with(limits(), "fixtures/hostile");
    for _ in 0..3 {
        let plan = template.plan(&request(r#"{"do":"count"}"#)).await.unwrap();
        assert_eq!(plan.notes, ["call 1"]);
    }
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_fuel() {
    let error = failure(limits(), r#"{"do":"loop"}"#).await;
    assert_eq!(error, CallError::OutOfFuel(limits().fuel + 13 * limits().fuel_per_input_byte + extra_bytes()));
    assert!(error.is_plugins_fault());
}

/// Fuel that the one environment name of the request buys.
fn extra_bytes() -> u64 {
    "LOG_LEVEL".len() as u64 * limits().fuel_per_input_byte
}

#[tokio::test]
async fn an_endless_loop_with_fuel_to_burn_meets_the_deadline() {
    let limits = CallLimits { fuel: u64::MAX, deadline: Duration::from_millis(100), ..limits() };
    let error = failure(limits, r#"{"do":"loop"}"#).await;
    assert_eq!(error, CallError::DeadlineExceeded(Duration::from_millis(100)));
}

#[tokio::test]
async fn memory_is_bounded() {
    let error = failure(limits(), r#"{"do":"grow"}"#).await;
    assert_eq!(error, CallError::OutOfMemory(32 << 20));
}

#[tokio::test]
async fn the_stack_is_bounded() {
    // How deep depends on the guest's own stack or the host's: either is a trap.
    let error = failure(limits(), r#"{"do":"recurse"}"#).await;
    assert!(matches!(error, CallError::Trap { .. }), "{error}");
}

#[tokio::test]
async fn a_panic_is_a_trap_with_its_text() {
    let error = failure(limits(), r#"{"do":"panic"}"#).await;
    let CallError::Trap { panic: Some(text), .. } = &error else { panic!("{error:?}") };
    assert!(text.contains(r#"told to panic about "my-app""#), "{text}");
    assert!(error.to_string().contains("told to panic"), "{error}");
}

#[tokio::test]
async fn a_trap_without_words_says_what_the_engine_saw() {
    let error = failure(limits(), r#"{"do":"trap"}"#).await;
    let CallError::Trap { message, panic } = &error else { panic!("{error:?}") };
    assert!(message.contains("unreachable"), "{message}");
    assert_eq!(*panic, None);
}

#[tokio::test]
async fn answers_are_bounded_by_what_they_cost_the_host() {
    let roomy = CallLimits { memory_bytes: 128 << 20, ..limits() };
    assert_eq!(failure(roomy, r#"{"do":"huge-output"}"#).await, CallError::OutputTooLarge(8 << 20));
    assert_eq!(failure(roomy, r#"{"do":"many-outputs"}"#).await, CallError::OutputTooLarge(8 << 20));
    assert_eq!(failure(roomy, r#"{"do":"huge-line"}"#).await, CallError::OutputTooLarge(8 << 20));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_the_panic_kept() {
    let template = template_with(CallLimits { log_lines: 10, ..limits() }, "fixtures/hostile");
    let answer = template.plan_reported(&request(r#"{"do":"log-flood","rounds":1000}"#)).await;
    let log = answer.report.unwrap().log;
    assert_eq!((log.lines.len(), log.dropped), (10, 991));
    assert_eq!(log.lines[0].level, LogLevel::Info);
    assert!(!log.lines[0].message.chars().any(char::is_control));
    assert!(log.last_error().unwrap().contains("after the flood"));
}

#[tokio::test]
async fn foreseen_failures_keep_their_fields() {
    let refused = failure(limits(), r#"{"do":"refuse"}"#).await;
    let CallError::Plugin(PluginError::InvalidInput(fields)) = &refused else { panic!("{refused:?}") };
    assert_eq!(fields[0].path, "framework");
    assert!(!refused.is_plugins_fault());
    let failed = failure(limits(), r#"{"do":"fail"}"#).await;
    assert_eq!(failed, CallError::Plugin(PluginError::Internal("lost its head".to_owned())));
    assert!(failed.is_plugins_fault());
    let config = failure(limits(), r#"{"do":"dance"}"#).await;
    assert!(matches!(config, CallError::Plugin(PluginError::InvalidConfig(_))), "{config:?}");
}

/// Asks until the calls of a component begin on the task that asks.
async fn make_known(template: &Template) {
    for _ in 0..16 {
        template.plan(&request("{}")).await.unwrap();
    }
}

/// What a first poll of a call takes of the thread that polls it.
fn first_poll(template: &Template) -> Duration {
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let looping = request(r#"{"do":"loop"}"#);
    let (mut call, before) = (pin!(template.plan(&looping)), used());
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    used() - before
}

/// What nobody knows takes nothing from the task that asks; what is known and turns out long took a slice.
#[tokio::test]
async fn the_first_calls_of_a_component_begin_on_a_thread_of_their_own() {
    let limits = CallLimits { fuel: u64::MAX, deadline: Duration::from_secs(1), ..limits() };
    let slice = Duration::from_millis(5);
    let unknown = template_with(limits, "fixtures/hostile");
    assert!(first_poll(&unknown) < slice);
    let known = template_with(limits, "fixtures/hostile");
    make_known(&known).await;
    assert!(first_poll(&known) >= slice);
}

/// An unknown component does not wait behind what is long.
#[tokio::test]
async fn unknown_components_are_asked_while_the_long_lane_is_full() {
    let limits = CallLimits { fuel: u64::MAX, deadline: Duration::from_secs(5), ..limits() };
    let sandbox = one_long_call(limits);
    let load = || sandbox.load(&component("fixtures/hostile")).unwrap().as_template().unwrap();
    let (template, unknown) = (load(), load());
    make_known(&template).await;
    let looping = request(r#"{"do":"loop"}"#);
    let mut long = pin!(template.plan(&looping));
    assert!(long.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    unknown.plan(&request("{}")).await.expect("it is short");
    assert!(long.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "the long one still runs");
}

/// A sandbox with one place for long calls.
fn one_long_call(limits: CallLimits) -> Sandbox {
    Sandbox::new(SandboxConfig { limits, max_long_calls: 1, ..SandboxConfig::default() }).unwrap()
}

/// A long call leaves the task that asked: on a runtime with one thread, others still get their turn.
#[tokio::test(flavor = "current_thread")]
async fn a_long_call_lets_others_run() {
    let limits = CallLimits { fuel: u64::MAX, deadline: Duration::from_secs(1), ..limits() };
    let template = template_with(limits, "fixtures/hostile");
    make_known(&template).await;
    let (long, short) = (request(r#"{"do":"loop"}"#), request("{}"));
    let long = template.plan(&long);
    let others = async {
        for _ in 0..5 {
            template.plan(&short).await.unwrap();
        }
        std::time::Instant::now()
    };
    let ended = async { (long.await, std::time::Instant::now()) };
    let ((error, long_ended), others_ended) = tokio::join!(ended, others);
    assert!(matches!(error, Err(CallError::DeadlineExceeded(_))), "{error:?}");
    assert!(others_ended < long_ended, "short calls waited for the long one");
}

/// A caller that goes away leaves the guest to end by itself, and its slot comes back.
#[tokio::test]
async fn a_dropped_caller_gives_its_slot_back() {
    let limits = CallLimits { fuel: u64::MAX, deadline: Duration::from_millis(200), ..limits() };
    let sandbox = sandbox_with(limits, Pooling::Auto);
    let template = sandbox.load(&component("fixtures/hostile")).unwrap().as_template().unwrap();
    let looping = request(r#"{"do":"loop"}"#);
    for _ in 0..4 {
        let mut call = pin!(template.plan(&looping));
        assert!(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    // All four slots are taken by calls nobody waits for; this one gets the first that is free. The others are still
    // running when everything else is gone, and end all the same: the runtime waits for them.
    template.plan(&request("{}")).await.unwrap();
}

#[tokio::test]
async fn too_many_waiting_calls_are_refused() {
    let limits = CallLimits { fuel: u64::MAX, deadline: Duration::from_secs(1), ..limits() };
    let config = SandboxConfig { limits, max_long_calls: 1, max_waiting_calls: 1, ..SandboxConfig::default() };
    let sandbox = Sandbox::new(config).unwrap();
    let template = sandbox.load(&component("fixtures/hostile")).unwrap().as_template().unwrap();
    make_known(&template).await;
    let looping = request(r#"{"do":"loop"}"#);
    let mut running = pin!(template.plan(&looping));
    let mut waiting = pin!(template.plan(&looping));
    let mut context = Context::from_waker(Waker::noop());
    assert!(running.as_mut().poll(&mut context).is_pending());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let refused = template.plan(&looping).await.unwrap_err();
    assert_eq!(refused, CallError::Overloaded(1));
    assert!(!refused.is_plugins_fault());
    // Short calls have a lane of their own; a component that was slow stays out of it for a while, another does not.
    let other = sandbox.load(&component("fixtures/hostile")).unwrap().as_template().unwrap();
    other.plan(&request("{}")).await.expect("it is short");
    let ended = waiting.await.unwrap_err();
    assert!(matches!(ended, CallError::DeadlineExceeded(_)), "it got its turn: {ended}");
}

/// A call that had to begin again gives the answer that it would have given.
#[tokio::test]
async fn a_long_call_that_finds_no_room_begins_again() {
    // The loop ends by its fuel, so that a slow machine changes nothing.
    let limits = CallLimits { fuel: 500_000_000, ..limits() };
    let template = one_long_call(limits).load(&component("fixtures/hostile")).unwrap().as_template().unwrap();
    make_known(&template).await;
    let looping = request(r#"{"do":"loop"}"#);
    let mut running = pin!(template.plan(&looping));
    assert!(running.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let long = template.plan_reported(&request(r#"{"do":"work","rounds":20000000}"#)).await;
    long.result.expect("it had its turn");
    let report = long.report.unwrap();
    assert!(report.queued > Duration::from_millis(20), "it waited for the other: {report:?}");
    assert!(running.await.is_err());
}

#[tokio::test]
async fn a_policy_judges_and_cannot_widen() {
    let sandbox = sandbox_with(limits(), Pooling::Auto);
    let policy = sandbox.load(&component("fixtures/hostile-policy")).unwrap().as_policy().unwrap();
    let review = |config: &str| Review {
        at: jiff::Timestamp::UNIX_EPOCH,
        action: "spawn".to_owned(),
        organization: Organization {
            id: "1".to_owned(),
            name: "Example".to_owned(),
            plan: String::new(),
            usage: Usage::default(),
        },
        actor_role: "admin".to_owned(),
        tenant_name: "my-app".to_owned(),
        language: "node".to_owned(),
        framework: None,
        base_image: None,
        source: "starter".to_owned(),
        limits: Limits::DEFAULT,
        env_names: Vec::new(),
        labels: Vec::new(),
        plan: None,
        config: config.to_owned(),
        extra: Vec::new(),
    };
    let passed = policy.evaluate(&review("{}")).await.unwrap();
    assert!(passed.violations.is_empty() && passed.tightened.is_none());
    let denied = policy.evaluate(&review(r#"{"do":"deny"}"#)).await.unwrap();
    assert_eq!(denied.violations[0].code, "not-liked");
    let tightened = policy.evaluate(&review(r#"{"do":"tighten"}"#)).await.unwrap();
    assert_eq!(tightened.tightened.unwrap().memory_mb, 256);
    let widened = policy.evaluate(&review(r#"{"do":"widen"}"#)).await.unwrap_err();
    assert!(matches!(widened, CallError::InvalidAnswer(_)), "{widened}");
}
