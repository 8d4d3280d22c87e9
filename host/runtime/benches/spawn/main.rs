//! What a spawn with a warm image costs, against the raw Docker API doing the same work.
//!
//! Ours is `POST /api/v1/tenant/spawn` to a real server, from the request to its 201: policies, plan, store, steps,
//! verification and probe included. The baseline (`../sides/bare.rs`) makes the same network, container and probe with nothing
//! around them. The two take turns, and what each made is removed outside of the time that counts.
//!
//! `CONVERGENCE_BIN` is the server's binary; `cargo xtask bench spawn` builds it in release. `SPAWN_BENCH_N` is how
//! often each side has its turn.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and its clock")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

mod history;
#[path = "../sides/mod.rs"]
mod sides;

use sides::bare::{Bare, Recipe};
use sides::server::{self, Server};
use sides::{Percentiles, Phases, WARM_UP, compared, millis};

const LANGUAGES: [&str; 2] = ["go", "node"];
/// Spawns whose history is read for the table of steps.
const HISTORIES: usize = 5;

fn main() {
    sides::run(measure);
}

async fn measure(bare: Bare) {
    let turns = sides::turns("SPAWN_BENCH_N");
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
    println!("spawn {language}: {}", compared(&ours, &raw));

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
