//! What stop, start, restart and live scale cost, against the raw Docker API doing the same to an equal container.
//!
//! Ours is `POST /api/v1/tenant/{tenant}/stop` and so on to a real server, from the request to the answer that tells the
//! outcome: store, steps, their events, verification and probe included. The baseline (`raw.rs`) makes one call of the engine
//! with nothing around it, to a container that is a copy of the tenant's, field by field, and waits until the app answers
//! wherever ours does: after each verb but stop. The sides take turns verb by verb, so that both containers are in the same state
//! and have the same limits at each of them.
//!
//! `CONVERGENCE_BIN` is the server's binary; `cargo xtask bench verbs` builds it in release. `VERBS_BENCH_N` is how often each
//! side has its turn; a turn scales twice, up and down again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and its clock")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod raw;
#[path = "../sides/mod.rs"]
mod sides;

use sides::bare::{Bare, Recipe};
use sides::server::{self, Server};
use sides::{Percentiles, WARM_UP, compared};

const LANGUAGES: [&str; 2] = ["go", "node"];
/// Thousandths of a core that a tenant has that asks for nothing, and others. The first ones are the limit of all starts.
const CPU_MILLIS: [u32; 2] = [500, 750];
/// After these a container is as it was before.
const TURN: [Verb; 5] =
    [Verb::Stop, Verb::Start, Verb::Restart, Verb::Scale(CPU_MILLIS[1]), Verb::Scale(CPU_MILLIS[0])];

/// What is done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Stop,
    Start,
    Restart,
    /// To so many thousandths of a core.
    Scale(u32),
}

/// How long it took ours and the raw side, each pair right after another.
type Pairs = Vec<(Duration, Duration)>;

fn main() {
    sides::run(measure);
}

async fn measure(bare: Bare) {
    let turns = sides::turns("VERBS_BENCH_N");
    let server = Server::start().await;
    for language in LANGUAGES {
        let tenant = server.spawn(&format!("{language}-verbs"), language).await;
        let recipe = bare.recipe(&server::container(tenant)).await;
        bare.spawn(&recipe).await;
        compare(&server, tenant, &bare, &recipe, language, turns).await;
        bare.destroy().await;
        server.destroy(tenant).await;
    }
    server.stop();
}

async fn compare(server: &Server, tenant: i64, bare: &Bare, recipe: &Recipe, language: &str, turns: usize) {
    let mut all = BTreeMap::<&str, Pairs>::new();
    for turn in 0..WARM_UP + turns {
        for verb in TURN {
            let pair = if turn % 2 == 0 {
                let ours = one_of_ours(server, tenant, bare, verb).await;
                (ours, bare.does(recipe, verb).await)
            } else {
                let theirs = bare.does(recipe, verb).await;
                (one_of_ours(server, tenant, bare, verb).await, theirs)
            };
            if turn >= WARM_UP {
                all.entry(verb.name()).or_default().push(pair);
            }
        }
    }
    for name in ["stop", "start", "restart", "scale"] {
        report(language, name, &all[name]);
    }
}

/// Asks the server for a verb, and answers how long it took until the outcome was told.
async fn one_of_ours(server: &Server, tenant: i64, bare: &Bare, verb: Verb) -> Duration {
    let path = format!("/api/v1/tenant/{tenant}/{}", verb.name());
    let (body, good) = match verb {
        Verb::Scale(cpu_millis) => (json!({ "limits": { "cpu": f64::from(cpu_millis) / 1000.0 } }).to_string(), 201),
        Verb::Stop | Verb::Start | Verb::Restart => (String::new(), 200),
    };
    let container = server::container(tenant);
    let before = bare.seen(&container).await;
    let began = Instant::now();
    let (status, text) = server.ask("POST", &path, body, false).await;
    let took = began.elapsed();
    assert_eq!(status, good, "{text}\n{}", server.log());
    if let Verb::Scale(cpu_millis) = verb {
        let after = bare.seen(&container).await;
        assert_eq!((&before.id, &before.started_at), (&after.id, &after.started_at), "it was scaled live");
        assert_eq!(after.nano_cpus, Some(i64::from(cpu_millis) * 1_000_000));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["success"], true, "{text}");
    }
    took
}

fn report(language: &str, verb: &str, pairs: &Pairs) {
    let ours = Percentiles::of(pairs.iter().map(|(ours, _)| *ours).collect());
    let raw = Percentiles::of(pairs.iter().map(|(_, raw)| *raw).collect());
    let mut ratios: Vec<f64> = pairs.iter().map(|(ours, raw)| ours.as_secs_f64() / raw.as_secs_f64()).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    println!(
        "verbs {language} {verb}: {}, median of {} pairs {:.2}",
        compared(&ours, &raw),
        ratios.len(),
        ratios[ratios.len() / 2]
    );
}

impl Verb {
    /// As the paths of the API have it.
    fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Scale(_) => "scale",
        }
    }
}
