//! Ten thousand operations that wait: what a spawn beside them takes, against the same spawn where nobody waits, in turns; what
//! they take of memory; and what renewing a thousand leases takes, against renewing one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convergence_access::development::HOME;
use convergence_model::operation::{Lane, OperationState, Subject};
use convergence_store::{Lease, Wanted};

use crate::bench::{Bench, Site};
use crate::rehearsal::{Asked, KIND};
use crate::{LEASE, Percentiles, count, fresh, now, shown};

const WAITING: u64 = 10_000;
const HELD: usize = 1_000;

pub(crate) async fn run(engine: &str) {
    let alone = Bench::of(Site::on(fresh(engine).await).await);
    let beside = Bench::of(Site::on(fresh(engine).await).await);
    let before = resident();
    for number in 0..WAITING {
        begin(&beside, number, true).await;
    }
    let begun = Instant::now();
    while beside.store.backlog().await.unwrap().waiting < WAITING {
        assert!(begun.elapsed() < Duration::from_secs(600), "{:?}", beside.store.backlog().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = resident();
    let (mut quiet, mut crowded) = (Vec::new(), Vec::new());
    for number in 0..count() {
        quiet.push(spawn(&alone, number).await);
        crowded.push(spawn(&beside, number).await);
    }
    let (quiet, crowded) = (Percentiles::of(quiet), Percentiles::of(crowded));
    println!(
        "waiting on {engine}: a spawn beside {WAITING} that wait p50 {} p99 {} | where nobody waits p50 {} p99 {} | ratio p50 {:.2} \
         | memory before {} MiB, with them {} MiB",
        shown(crowded.p50),
        shown(crowded.p99),
        shown(quiet.p50),
        shown(quiet.p99),
        crowded.p50.as_secs_f64() / quiet.p50.as_secs_f64(),
        before / 1024,
        after / 1024,
    );
    renewals(engine).await;
}

/// One statement renews them all.
async fn renewals(engine: &str) {
    let front = Site::on(fresh(engine).await).await;
    let kinds = BTreeMap::from([(KIND.name, KIND.checkpoint)]);
    let operations = front.front(std::sync::Arc::clone(&front.store)).operations;
    let mut leases: Vec<Lease> = Vec::new();
    for number in 0..HELD as u64 {
        let (subject, asked) = subject(number, false);
        operations.begin(HOME, &subject, &KIND, asked, "bench", None).await.unwrap();
        let wanted =
            Wanted { worker: "bench", lease: LEASE, lane: Lane::Network, kinds: &kinds, after: HOME, only: None };
        leases.push(front.store.claim(wanted, now()).await.unwrap().unwrap().lease);
    }
    let mut times = Vec::new();
    for some in [&leases[..1], &leases[..]] {
        let mut took = Vec::new();
        for _ in 0..30 {
            let begun = Instant::now();
            assert_eq!(front.store.renew("bench", some, LEASE).await.unwrap().len(), some.len());
            took.push(begun.elapsed());
        }
        times.push(Percentiles::of(took).p50);
    }
    println!(
        "renewing on {engine}: one lease p50 {}, {HELD} leases p50 {}, {:.1}× of one",
        shown(times[0]),
        shown(times[1]),
        times[1].as_secs_f64() / times[0].as_secs_f64()
    );
}

async fn spawn(bench: &Bench, number: u64) -> Duration {
    let begun = Instant::now();
    let operation = bench.spawn(&format!("app-{number}")).await;
    let took = begun.elapsed();
    assert_eq!(operation.state, OperationState::Succeeded);
    bench.destroy(operation.env_id().unwrap()).await;
    took
}

async fn begin(bench: &Bench, number: u64, signal: bool) {
    let (subject, asked) = subject(number, signal);
    bench.operations.begin(HOME, &subject, &KIND, asked, "bench", None).await.unwrap();
}

fn subject(number: u64, signal: bool) -> (Subject, serde_json::Value) {
    let asked = serde_json::to_value(Asked { rounds: 1, signal, rest_millis: 0 }).unwrap();
    (Subject::of("rehearsal", number), asked)
}

/// KiB of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
