//! Calls: how long one takes, and how many a machine makes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convergence_model::policy::Review;
use convergence_plugin::{Shelf, Snapshot};
use convergence_sandbox::{Policy, Sandbox};
use tokio::task::JoinSet;

use crate::bare::{self, Bare, BarePolicy, Parts, Request};
use crate::guest::{self, Guest};
use crate::measure::{Percentiles, median, ratio, shown};
use crate::product;

/// How long one side makes calls on all cores before the other has its turn, and how many turns each has.
const SPAN: Duration = Duration::from_millis(500);
const ROUNDS: usize = 8;
/// Callers for each core.
const CALLERS: usize = 2;

/// One guest on each side, all warm.
struct Sides {
    language: &'static str,
    calls: usize,
    turn: usize,
    /// What the server asks.
    snapshot: Snapshot,
    /// The layer below it, to see what costs what.
    policy: Policy,
    bare: Arc<BarePolicy>,
    review: Review,
    request: Arc<Request>,
}

/// All guests, one after the other. One sandbox and one bare engine hold them all, as a server does.
pub(crate) fn compare(guests: &[Guest], cache: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (sandbox, bare) = (product::sandbox(cache), Bare::new());
    let sides: Vec<Sides> = guests.iter().map(|guest| runtime.block_on(prepare(guest, &sandbox, &bare))).collect();
    for sides in sides {
        // A server's runtime: the call is awaited by a task on one of its workers.
        runtime.block_on(async move {
            let sides = tokio::spawn(latency(sides)).await.unwrap();
            throughput(&sides).await;
        });
    }
}

async fn prepare(guest: &Guest, sandbox: &Sandbox, bare: &Bare) -> Sides {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("guest.wasm"), &guest.bytes).unwrap();
    let configuration = BTreeMap::from([(guest.id.to_owned(), guest.config.clone())]);
    let catalogue = product::catalogue(Shelf::Memory, sandbox.clone(), folder.path(), configuration).await;
    let snapshot = catalogue.snapshot();
    assert_eq!(snapshot.policies().len(), 1, "{:?}", catalogue.problems());
    let review = guest::review(&guest.config);
    Sides {
        language: guest.language,
        calls: guest.calls,
        turn: guest.turn,
        snapshot,
        policy: sandbox.load(&guest.bytes).unwrap().as_policy().expect("every guest is a policy"),
        bare: Arc::new(bare.load(&bare.compile(&guest.bytes))),
        request: Arc::new(bare::request(&review)),
        review,
    }
}

async fn ask(snapshot: &Snapshot, review: &Review) {
    let reviewed = snapshot.review(review.clone()).await.unwrap();
    assert!(reviewed.violations.is_empty() && reviewed.pins.len() == 1, "it was asked, and nothing is wrong");
}

/// One caller, sides in turns.
async fn latency(sides: Sides) -> Sides {
    let Sides { snapshot, policy, bare, review, request, .. } = &sides;
    for _ in 0..sides.calls / 10 {
        ask(snapshot, review).await;
        policy.evaluate(review).await.unwrap();
        bare.evaluate(request);
    }
    let (mut ours, mut sandbox, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut parts: Vec<Parts> = Vec::new();
    while ours.len() < sides.calls {
        for _ in 0..sides.turn {
            let begun = Instant::now();
            ask(snapshot, review).await;
            ours.push(begun.elapsed());
        }
        for _ in 0..sides.turn {
            let begun = Instant::now();
            bare.evaluate(request);
            theirs.push(begun.elapsed());
        }
        for _ in 0..sides.turn {
            let begun = Instant::now();
            policy.evaluate(review).await.unwrap();
            sandbox.push(begun.elapsed());
        }
        for _ in 0..sides.turn {
            parts.push(bare.evaluate_in_parts(request));
        }
    }
    let (ours, theirs, sandbox) = (Percentiles::of(ours), Percentiles::of(theirs), Percentiles::of(sandbox));
    let language = sides.language;
    println!(
        "call {language}: ours p50 {} p99 {} | bare p50 {} p99 {} | ratio p50 {:.2} p99 {:.2}",
        shown(ours.p50),
        shown(ours.p99),
        shown(theirs.p50),
        shown(theirs.p99),
        ratio(ours.p50, theirs.p50),
        ratio(ours.p99, theirs.p99),
    );
    let part = |of: fn(&Parts) -> Duration| shown(median(parts.iter().map(of).collect()));
    println!(
        "where {language}: bare store {} instantiate {} call {} drop {} | sandbox alone p50 {} p99 {} ratio p50 {:.2}",
        part(|parts| parts.store),
        part(|parts| parts.instantiate),
        part(|parts| parts.call),
        part(|parts| parts.drop),
        shown(sandbox.p50),
        shown(sandbox.p99),
        ratio(sandbox.p50, theirs.p50),
    );
    sides
}

/// Callers on every core, sides in turns.
async fn throughput(sides: &Sides) {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (mut ours, mut theirs) = (Rate::default(), Rate::default());
    for _ in 0..ROUNDS {
        let (snapshot, review) = (&sides.snapshot, &sides.review);
        ours.add(cores * CALLERS, || {
            let (snapshot, review) = (snapshot.clone(), review.clone());
            async move |end: Instant| {
                let mut calls = 0;
                while Instant::now() < end {
                    ask(&snapshot, &review).await;
                    calls += 1;
                    tokio::task::yield_now().await;
                }
                calls
            }
        })
        .await;
        theirs
            .add(cores * CALLERS, || {
                let (bare, request) = (Arc::clone(&sides.bare), Arc::clone(&sides.request));
                async move |end: Instant| {
                    let mut calls = 0;
                    while Instant::now() < end {
                        bare.evaluate(&request);
                        calls += 1;
                        tokio::task::yield_now().await;
                    }
                    calls
                }
            })
            .await;
    }
    println!(
        "calls/s {} on {cores} cores: ours {:.0} | bare {:.0} | ratio {:.2}",
        sides.language,
        ours.a_second(),
        theirs.a_second(),
        ours.a_second() / theirs.a_second(),
    );
}

/// Calls over all turns of a side.
#[derive(Default)]
struct Rate {
    calls: u64,
    time: Duration,
}

impl Rate {
    async fn add<F, C>(&mut self, callers: usize, caller: impl Fn() -> C)
    where
        C: FnOnce(Instant) -> F,
        F: Future<Output = u64> + Send + 'static,
    {
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..callers {
            running.spawn(caller()(begun + SPAN));
        }
        self.calls += running.join_all().await.into_iter().sum::<u64>();
        self.time += begun.elapsed();
    }

    fn a_second(&self) -> f64 {
        self.calls as f64 / self.time.as_secs_f64()
    }
}
