//! What a `plan` call through the sandbox costs, against bare wasmtime with the same component, pool and limits.
//!
//! Both sides instantiate afresh for every call, arm the same fuel, deadline and memory limit, and hand over the same
//! request. What only the sandbox does is on its side of the scale: converting to and from the model's nouns, queueing,
//! the report, collecting the log. The two take turns, so that whatever else the machine does meets both.
//!
//! `CONVERGENCE_COMPONENTS` (or the first argument) is the folder that holds `templates/node.wasm`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and owns its threads")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use convergence_model::plan::PlanRequest;
use convergence_sandbox::{CallLimits, Pooling, Sandbox, SandboxConfig, Template};

mod bare;

const WARM_UP: usize = 200;
const CALLS: usize = 5_000;
/// Calls of one side before the other has its turn.
const TURN: usize = 50;
const CONCURRENT: usize = 8;
const LONG: usize = 2;

fn main() {
    let folder = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("CONVERGENCE_COMPONENTS").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"));
    let file = folder.join("templates/node.wasm");
    let bytes = std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()));

    let limits = CallLimits::default();
    let config = SandboxConfig {
        pooling: Pooling::Always,
        max_concurrent_calls: CONCURRENT,
        max_long_calls: LONG,
        limits,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::new(config).unwrap();
    let template = sandbox.load(&bytes).unwrap().as_template().expect("node.wasm is a template");
    let bare = bare::Bare::new(&bytes, limits, CONCURRENT + LONG);
    // A server's runtime: the call is awaited by a task on one of its workers.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (ours, theirs) = runtime.block_on(async move { tokio::spawn(measure(template, bare)).await.unwrap() });

    let (ours50, ours99) = percentiles(ours);
    let (bare50, bare99) = percentiles(theirs);
    println!(
        "plan call: ours p50 {} p99 {} bare p50 {} p99 {} ratio p50 {:.2} p99 {:.2}",
        micros(ours50),
        micros(ours99),
        micros(bare50),
        micros(bare99),
        ours50.as_secs_f64() / bare50.as_secs_f64(),
        ours99.as_secs_f64() / bare99.as_secs_f64(),
    );
}

async fn measure(template: Template, bare: bare::Bare) -> (Vec<Duration>, Vec<Duration>) {
    let request = request();
    let guest_request = bare::request(&request);
    for _ in 0..WARM_UP {
        template.plan(&request).await.unwrap();
        bare.plan(&guest_request);
    }
    let (mut ours, mut theirs) = (Vec::with_capacity(CALLS), Vec::with_capacity(CALLS));
    while ours.len() < CALLS {
        for _ in 0..TURN {
            let started = Instant::now();
            template.plan(&request).await.unwrap();
            ours.push(started.elapsed());
        }
        for _ in 0..TURN {
            let started = Instant::now();
            bare.plan(&guest_request);
            theirs.push(started.elapsed());
        }
    }
    (ours, theirs)
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn micros(time: Duration) -> String {
    format!("{:.1}µs", time.as_secs_f64() * 1e6)
}

fn request() -> PlanRequest {
    PlanRequest {
        at: jiff::Timestamp::UNIX_EPOCH,
        tenant_name: "my-app".to_owned(),
        framework: Some("express".to_owned()),
        source: None,
        base_image: None,
        architecture: "amd64".to_owned(),
        memory_mb: 512,
        env_names: vec!["LOG_LEVEL".to_owned(), "DATABASE_URL".to_owned()],
        build_args: Vec::new(),
        secret_names: Vec::new(),
        processes: Vec::new(),
        config: "{}".to_owned(),
        extra: Vec::new(),
    }
}
