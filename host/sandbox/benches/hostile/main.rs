//! What honest callers notice of hostile ones, and how exactly a runaway call is ended.
//!
//! An honest request arrives every few milliseconds, from a thread outside the runtime as from a socket, whatever
//! became of those before it. Its time counts from the arrival to the answer, so it includes waiting for a worker, for a
//! core and for a place. Turns without and with hostile callers alternate, so that whatever else the machine does meets
//! both. The hostile ones call without a pause: loops, memory, recursion, panics, answers that are too large.
//!
//! `CONVERGENCE_COMPONENTS` (or the first argument) is the folder that holds `templates/node.wasm` and
//! `fixtures/hostile.wasm`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and owns its threads")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use convergence_model::plan::PlanRequest;
use convergence_sandbox::{CallError, CallLimits, Pooling, Sandbox, SandboxConfig, Template};
use tokio::sync::mpsc;

/// Between two honest requests.
const PERIOD: Duration = Duration::from_millis(2);
/// Honest requests of a turn, and turns of each side.
const REQUESTS: usize = 1_000;
const TURNS: usize = 6;
/// Hostile callers at the same time.
const HOSTILE: usize = 8;
/// What they do, one after the other.
const DEEDS: [&str; 6] = [
    r#"{"do":"loop"}"#,
    r#"{"do":"grow"}"#,
    r#"{"do":"loop"}"#,
    r#"{"do":"recurse"}"#,
    r#"{"do":"panic"}"#,
    r#"{"do":"many-outputs"}"#,
];
/// The deadline of runaway calls, and how many are measured at each degree of crowding.
const DEADLINE: Duration = Duration::from_millis(250);
const RUNAWAYS: usize = 40;

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("CONVERGENCE_COMPONENTS").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let limits = CallLimits::default();
        let sandbox = sandbox(limits);
        let (honest, hostile) =
            (load(&sandbox, &folder, "templates/node"), load(&sandbox, &folder, "fixtures/hostile"));
        turn(&honest, None).await;
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            alone.extend(turn(&honest, None).await);
            beside.extend(turn(&honest, Some(&hostile)).await);
        }
        let (alone50, alone99) = percentiles(alone);
        let (beside50, beside99) = percentiles(beside);
        println!(
            "honest calls: alone p50 {} p99 {} beside {HOSTILE} hostile callers p50 {} p99 {} ratio p50 {:.2} p99 {:.2}",
            micros(alone50),
            micros(alone99),
            micros(beside50),
            micros(beside99),
            beside50.as_secs_f64() / alone50.as_secs_f64(),
            beside99.as_secs_f64() / alone99.as_secs_f64(),
        );

        let limits = CallLimits { fuel: u64::MAX, deadline: DEADLINE, ..limits };
        let hostile = load(&self::sandbox(limits), &folder, "fixtures/hostile");
        for at_once in [1, 2, 8] {
            let (p50, worst) = overshoot(&hostile, at_once).await;
            println!("runaway calls, {at_once} at once: past their deadline p50 {} worst {}", micros(p50), micros(worst));
        }
    });
}

fn sandbox(limits: CallLimits) -> Sandbox {
    Sandbox::new(SandboxConfig { pooling: Pooling::Always, limits, ..SandboxConfig::default() }).unwrap()
}

fn load(sandbox: &Sandbox, folder: &Path, name: &str) -> Template {
    let file = folder.join(name).with_extension("wasm");
    let bytes = std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()));
    sandbox.load(&bytes).unwrap().as_template().expect("it is a template")
}

/// Honest requests, beside hostile ones if there are any.
async fn turn(honest: &Template, hostile: Option<&Template>) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut hostiles = Vec::new();
    for caller in 0..if hostile.is_some() { HOSTILE } else { 0 } {
        let (template, stop) = (hostile.unwrap().clone(), Arc::clone(&stop));
        hostiles.push(tokio::spawn(async move {
            for deed in DEEDS.iter().cycle().skip(caller) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                template.plan(&request(deed)).await.expect_err("it is hostile");
            }
        }));
    }
    let (send, mut arrivals) = mpsc::channel(REQUESTS);
    let clock = std::thread::spawn(move || {
        let started = Instant::now();
        for number in 0..REQUESTS {
            let due = started + PERIOD * u32::try_from(number).unwrap();
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            send.blocking_send(Instant::now()).unwrap();
        }
    });
    let mut answers = Vec::with_capacity(REQUESTS);
    while let Some(arrived) = arrivals.recv().await {
        let template = honest.clone();
        answers.push(tokio::spawn(async move {
            template.plan(&request("{}")).await.unwrap();
            arrived.elapsed()
        }));
    }
    let mut times = Vec::with_capacity(REQUESTS);
    for answer in answers {
        times.push(answer.await.unwrap());
    }
    clock.join().unwrap();
    stop.store(true, Ordering::Relaxed);
    for caller in hostiles {
        caller.await.unwrap();
    }
    times
}

/// How long after its deadline a runaway call ends, so many of them at once.
async fn overshoot(hostile: &Template, at_once: usize) -> (Duration, Duration) {
    let mut past = Vec::new();
    while past.len() < RUNAWAYS {
        let calls: Vec<_> = (0..at_once)
            .map(|_| {
                let template = hostile.clone();
                tokio::spawn(async move { template.plan_reported(&request(DEEDS[0])).await })
            })
            .collect();
        for call in calls {
            let reported = call.await.unwrap();
            assert!(matches!(reported.result, Err(CallError::DeadlineExceeded(_))), "{:?}", reported.result);
            past.push(reported.report.unwrap().duration.saturating_sub(DEADLINE));
        }
    }
    past.sort_unstable();
    (past[past.len() / 2], past[past.len() - 1])
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn micros(time: Duration) -> String {
    format!("{:.1}µs", time.as_secs_f64() * 1e6)
}

fn request(config: &str) -> PlanRequest {
    PlanRequest {
        tenant_name: "my-app".to_owned(),
        framework: None,
        source: None,
        base_image: None,
        architecture: "amd64".to_owned(),
        memory_mb: 512,
        env_names: vec!["LOG_LEVEL".to_owned(), "DATABASE_URL".to_owned()],
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: config.to_owned(),
        extra: Vec::new(),
    }
}
