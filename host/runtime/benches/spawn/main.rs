//! What a spawn with a warm image costs, against the raw Docker API doing the same work.
//!
//! Ours is `POST /api/v1/tenant/spawn` to a real server, from the request to its 201: policies, plan, store, steps,
//! verification and probe included. The baseline (`bare.rs`) makes the same network, container and probe with nothing
//! around them. The two take turns, and what each made is removed outside of the time that counts.
//!
//! `CONVERGENCE_BIN` is the server's binary; `cargo xtask bench spawn` builds it in release. `SPAWN_BENCH_N` is how
//! often each side has its turn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and its clock")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod bare;
mod server;

use bare::{Bare, Recipe};
use server::Server;

const LANGUAGES: [&str; 2] = ["go", "node"];
const TURNS: usize = 20;
const WARM_UP: usize = 2;
/// Spawns whose history is read for the table of steps.
const HISTORIES: usize = 5;

/// Times by what was done in them.
type Phases = Vec<(String, Duration)>;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bare = Bare::connect().await;
        bare.sweep().await;
        let outcome = tokio::spawn(measure(bare.clone())).await;
        bare.sweep().await;
        if let Err(panicked) = outcome {
            std::panic::resume_unwind(panicked.into_panic());
        }
    });
}

async fn measure(bare: Bare) {
    let turns =
        std::env::var("SPAWN_BENCH_N").ok().map_or(TURNS, |text| text.parse().expect("SPAWN_BENCH_N is a number"));
    let server = Server::start().await;
    for language in LANGUAGES {
        // Keeps the image, and is what the baseline copies.
        let keeper = server.spawn(&format!("{language}-keeper"), language).await;
        let recipe = bare.recipe(&server::container(keeper)).await;
        compare(&server, &bare, &recipe, language, turns).await;
        server.destroy(keeper).await;
    }
    server.stop();
}

async fn compare(server: &Server, bare: &Bare, recipe: &Recipe, language: &str, turns: usize) {
    let (mut ours, mut raw, mut raw_phases) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..WARM_UP + turns {
        let (mine, theirs, phases) = if turn % 2 == 0 {
            let mine = one_of_ours(server, language, turn).await;
            let (theirs, phases) = one_of_theirs(bare, recipe).await;
            (mine, theirs, phases)
        } else {
            let (theirs, phases) = one_of_theirs(bare, recipe).await;
            (one_of_ours(server, language, turn).await, theirs, phases)
        };
        if turn >= WARM_UP {
            ours.push(mine);
            raw.push(theirs);
            raw_phases.push(phases);
        }
    }
    let (ours, raw) = (Percentiles::of(ours), Percentiles::of(raw));
    println!(
        "spawn {language}: ours p50 {} p95 {} | raw p50 {} p95 {} | ratio p50 {:.2} p95 {:.2}",
        millis(ours.p50),
        millis(ours.p95),
        millis(raw.p50),
        millis(raw.p95),
        ours.p50.as_secs_f64() / raw.p50.as_secs_f64(),
        ours.p95.as_secs_f64() / raw.p95.as_secs_f64(),
    );

    let mut histories = Vec::new();
    for turn in 0..HISTORIES {
        let (tenant, phases) = server.history(&format!("{language}-history-{turn}"), language).await;
        server.destroy(tenant).await;
        histories.push(phases);
    }
    println!("  ours by step, medians: {}", medians(histories));
    println!("  raw by call, medians: {}", medians(raw_phases));
}

async fn one_of_ours(server: &Server, language: &str, turn: usize) -> Duration {
    let name = format!("{language}-{turn}");
    let started = Instant::now();
    let tenant = server.spawn(&name, language).await;
    let took = started.elapsed();
    server.destroy(tenant).await;
    took
}

async fn one_of_theirs(bare: &Bare, recipe: &Recipe) -> (Duration, Phases) {
    let started = Instant::now();
    let phases = bare.spawn(recipe).await;
    let took = started.elapsed();
    bare.destroy().await;
    (took, phases)
}

struct Percentiles {
    p50: Duration,
    p95: Duration,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { p50: times[times.len() / 2], p95: times[times.len() * 95 / 100] }
    }
}

/// The median of each phase over all runs, in the order of the first.
fn medians(runs: Vec<Phases>) -> String {
    let order: Vec<String> = runs[0].iter().map(|(name, _)| name.clone()).collect();
    let mut times = BTreeMap::<String, Vec<Duration>>::new();
    for (name, time) in runs.into_iter().flatten() {
        times.entry(name).or_default().push(time);
    }
    let median = |name: &String| millis(Percentiles::of(times[name].clone()).p50);
    order.iter().map(|name| format!("{name} {}", median(name))).collect::<Vec<_>>().join(", ")
}

fn millis(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1e3)
}

/// A file or folder the benchmark needs: from the environment, or where the chores of this repository put it.
fn prepared(variable: &str, usual: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(usual), PathBuf::from);
    assert!(path.exists(), "there is no {}: run `cargo xtask bench spawn`, which makes it", path.display());
    path
}
