//! What honest callers notice of hostile ones, and how exactly a runaway call is ended.
//!
//! An honest request arrives every few milliseconds, from a thread outside the runtime as from a socket, whatever
//! became of those before it. Its time counts from the arrival to the answer, so it includes waiting for a worker, for a
//! core and for a place. Turns without and with hostile callers alternate, so that whatever else the machine does meets
//! both.
//!
//! There is a plugin for each hostile deed (loops, memory, recursion, panics, answers that are too large), and callers ask
//! them without a pause, through the catalogue as the server does: its breaker is what ends most of it. Once more they ask
//! the sandbox, which has none, so that what a breaker lets through is seen as well. And once there is nothing hostile, only a
//! thread that counts, on what is left of the processor: what that costs is the machine's share, for cores that are halves
//! of one slow each other down whatever they run.
//!
//! `CONVERGENCE_COMPONENTS` is the folder that holds `templates/node.wasm` and `fixtures/hostile.wasm`. `HOSTILE_BENCH_DEEDS`
//! names the deeds, all of them without it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and owns its threads")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use convergence_model::plan::PlanRequest;
use convergence_plugin::{Catalogue, Shelf};
use convergence_sandbox::{CallError, CallLimits, Pooling, Sandbox, SandboxConfig, Template};
use serde_json::{Value, json};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
};
use tokio::sync::mpsc;

#[path = "../plugins/product.rs"]
mod product;

/// The word that this program is started with by itself.
pub(crate) const COMPILE: &str = "compile-component";
/// Between two honest requests.
const PERIOD: Duration = Duration::from_millis(2);
/// Honest requests of a turn, which are two seconds, and turns of each side through the catalogue and otherwise.
const REQUESTS: usize = 1_000;
const TURNS: usize = 15;
const FEW_TURNS: usize = 5;
/// Hostile callers at the same time.
const HOSTILE: usize = 8;
/// What they do, one after the other.
const DEEDS: [&str; 6] = ["loop", "grow", "recurse", "panic", "many-outputs", "log-flood"];
/// Between two questions of a hostile caller: less than one takes over HTTP.
const BREATH: Duration = Duration::from_micros(200);
/// The deadline of runaway calls, and how many are measured at each degree of crowding.
const DEADLINE: Duration = Duration::from_millis(250);
const RUNAWAYS: usize = 40;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((COMPILE, order)) = arguments.split_first().map(|(word, order)| (word.as_str(), order)) {
        return convergence_sandbox::compile_in_child(order);
    }
    let components = std::env::var_os("CONVERGENCE_COMPONENTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/components"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let configuration = lay_out(&components, folder.path());
        let sandbox = product::sandbox(cache.path());
        let catalogue = product::catalogue(Shelf::Memory, sandbox.clone(), folder.path(), configuration).await;
        let catalogue = Arc::new(catalogue);
        assert_eq!(catalogue.problems(), Vec::<String>::new());
        let honest = honest(&catalogue);
        turn(&honest, &Beside::Nothing).await;
        let (alone, beside) = compare(&honest, &through_the_catalogue(&catalogue), TURNS).await;
        let (first_alone, later_alone) = alone.split_at(FEW_TURNS);
        let (first_beside, later_beside) = beside.split_at(FEW_TURNS);
        tell("beside hostile callers through the catalogue, all turns", &alone, &beside);
        tell("in the first of these turns, while breakers open", first_alone, first_beside);
        tell("in the later ones", later_alone, later_beside);
        let bytes = read(&components, "fixtures/hostile");
        let hostile = sandbox.load(&bytes).unwrap().as_template().expect("it is a template");
        let (alone, beside) = compare(&honest, &in_the_sandbox(&hostile), FEW_TURNS).await;
        tell("beside hostile callers in the sandbox, without a breaker", &alone, &beside);
        let (alone, beside) = compare(&honest, &Beside::Counter, FEW_TURNS).await;
        tell("beside a thread that only counts", &alone, &beside);

        let limits = CallLimits { fuel: u64::MAX, deadline: DEADLINE, ..CallLimits::default() };
        let config = SandboxConfig { pooling: Pooling::Always, limits, ..SandboxConfig::default() };
        let runaway = Sandbox::new(config).unwrap().load(&bytes).unwrap().as_template().expect("it is a template");
        for at_once in [1, 2, 8] {
            let (p50, worst) = overshoot(&runaway, at_once).await;
            println!(
                "runaway calls, {at_once} at once: past their deadline p50 {} worst {}",
                micros(p50),
                micros(worst)
            );
        }
    });
    ExitCode::SUCCESS
}

fn read(components: &Path, name: &str) -> Vec<u8> {
    let file = components.join(name).with_extension("wasm");
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask guests` first", file.display()))
}

/// One honest plugin, and one for each hostile deed, with the configuration that makes it do that.
fn lay_out(components: &Path, folder: &Path) -> BTreeMap<String, Value> {
    std::fs::write(folder.join("node.wasm"), read(components, "templates/node")).unwrap();
    let hostile = read(components, "fixtures/hostile");
    let mut configuration = BTreeMap::new();
    for (number, deed) in DEEDS.iter().enumerate() {
        let id = hostile_id(number);
        let mut bytes = hostile.clone();
        // The same component under another name: as long, wherever it stands.
        let places: Vec<usize> =
            (0..bytes.len() - id.len()).filter(|at| bytes[*at..].starts_with(b"hostile")).collect();
        places.iter().for_each(|at| bytes[*at..at + id.len()].copy_from_slice(id.as_bytes()));
        std::fs::write(folder.join(&id).with_extension("wasm"), bytes).unwrap();
        configuration.insert(id, json!({ "do": deed, "rounds": 1000 }));
    }
    configuration
}

fn hostile_id(number: usize) -> String {
    format!("hostil{number}")
}

/// What a caller asks again and again; the number says of which deed.
type Ask = Arc<dyn Fn(usize) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What else goes on while honest requests arrive.
enum Beside {
    Nothing,
    /// Callers that ask this without a pause.
    Hostile(Ask),
    /// A thread that takes what is left of the processor.
    Counter,
}

fn honest(catalogue: &Arc<Catalogue>) -> Ask {
    let catalogue = Arc::clone(catalogue);
    Arc::new(move |_| {
        let snapshot = catalogue.snapshot();
        Box::pin(async move { drop(snapshot.plan("node", request("{}")).await.expect("it is honest")) })
    })
}

fn through_the_catalogue(catalogue: &Arc<Catalogue>) -> Beside {
    let catalogue = Arc::clone(catalogue);
    Beside::Hostile(Arc::new(move |deed| {
        let snapshot = catalogue.snapshot();
        Box::pin(async move { drop(snapshot.plan(&hostile_id(deed), request("{}")).await.expect_err("it is hostile")) })
    }))
}

fn in_the_sandbox(hostile: &Template) -> Beside {
    let hostile = hostile.clone();
    Beside::Hostile(Arc::new(move |deed| {
        let (hostile, deed) = (hostile.clone(), json!({ "do": DEEDS[deed], "rounds": 1000 }).to_string());
        Box::pin(async move { drop(hostile.plan(&request(&deed)).await.expect_err("it is hostile")) })
    }))
}

/// Times of honest requests, turn by turn.
type Turns = Vec<Vec<Duration>>;

/// Honest requests alone and beside something, in turns.
async fn compare(honest: &Ask, beside: &Beside, turns: usize) -> (Turns, Turns) {
    let mut sides = (Turns::new(), Turns::new());
    for _ in 0..turns {
        sides.0.push(turn(honest, &Beside::Nothing).await);
        sides.1.push(turn(honest, beside).await);
    }
    sides
}

/// Tells the percentiles of all requests, and the median of the turns' own p99, which one turn that the machine itself
/// disturbed does not decide.
fn tell(what: &str, alone: &[Vec<Duration>], beside: &[Vec<Duration>]) {
    let (alone_turns, beside_turns) = (median99(alone), median99(beside));
    let (alone50, alone99) = percentiles(alone.concat());
    let (beside50, beside99) = percentiles(beside.concat());
    let ratio = |beside: Duration, alone: Duration| beside.as_secs_f64() / alone.as_secs_f64();
    println!(
        "honest calls {what}: p50 {} p99 {}, median turn's {} | alone p50 {} p99 {}, median turn's {} | ratio p50 {:.2} p99 {:.2}, \
         median turn's {:.2}",
        micros(beside50),
        micros(beside99),
        micros(beside_turns),
        micros(alone50),
        micros(alone99),
        micros(alone_turns),
        ratio(beside50, alone50),
        ratio(beside99, alone99),
        ratio(beside_turns, alone_turns),
    );
}

/// The median of the turns' own p99.
fn median99(turns: &[Vec<Duration>]) -> Duration {
    percentiles(turns.iter().map(|turn| percentiles(turn.clone()).1).collect()).0
}

/// Honest requests, and something beside them.
async fn turn(honest: &Ask, beside: &Beside) -> Vec<Duration> {
    let stop = Arc::new(AtomicBool::new(false));
    let counter = matches!(beside, Beside::Counter).then(|| {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || count_until(&stop))
    });
    let mut hostiles = Vec::new();
    if let Beside::Hostile(ask) = beside {
        let deeds = deeds();
        hostiles.extend((0..HOSTILE).map(|caller| {
            let (ask, stop, deeds) = (Arc::clone(ask), Arc::clone(&stop), deeds.clone());
            tokio::spawn(async move {
                for deed in deeds.into_iter().cycle().skip(caller) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    ask(deed).await;
                    tokio::time::sleep(BREATH).await;
                }
            })
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
        let ask = Arc::clone(honest);
        answers.push(tokio::spawn(async move {
            ask(0).await;
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
    if let Some(counter) = counter {
        counter.join().unwrap();
    }
    times
}

/// The deeds that were asked for.
fn deeds() -> Vec<usize> {
    let wanted = std::env::var("HOSTILE_BENCH_DEEDS").unwrap_or_else(|_| DEEDS.join(","));
    let number = |word: &str| DEEDS.iter().position(|deed| *deed == word);
    wanted.split(',').map(|word| number(word).unwrap_or_else(|| panic!("deeds are {DEEDS:?}, not {word:?}"))).collect()
}

/// Counts at the same priority as a guest that failed recently.
fn count_until(stop: &AtomicBool) {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_priority::thread_native_id(), ThreadPriority::Min, idle).unwrap();
    let mut count = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        count = std::hint::black_box(count.wrapping_add(1));
    }
}

/// How long after its deadline a runaway call ends, so many of them at once.
async fn overshoot(hostile: &Template, at_once: usize) -> (Duration, Duration) {
    let mut past = Vec::new();
    while past.len() < RUNAWAYS {
        let calls: Vec<_> = (0..at_once)
            .map(|_| {
                let template = hostile.clone();
                tokio::spawn(async move { template.plan_reported(&request(r#"{"do":"loop"}"#)).await })
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
        at: jiff::Timestamp::UNIX_EPOCH,
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
