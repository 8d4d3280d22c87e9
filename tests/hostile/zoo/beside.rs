//! The whole zoo beside honest traffic, again and again, on one sandbox: nobody honest notices, and nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use convergence_sandbox::{Layer, Sandbox, Template};
use tokio::task::JoinSet;

use super::{Fate, Specimen, all, ask, request, sandbox};
use crate::harness::{components, eventually};
use crate::hostile::leaks::{held, resident_bytes};

const ROUNDS: usize = 3;
/// Between two honest calls of one caller.
const PACE: Duration = Duration::from_millis(2);
/// Bytes of memory that may be in use more after the last round than after the second: what an allocator keeps.
const SLACK: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_zoo_beside_honest_traffic_harms_nobody_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = sandbox(Some(folder.path()), Duration::from_secs(60));
    let node = std::fs::read(components().join("templates/node.wasm")).unwrap();
    let template = sandbox.load(&node).unwrap().as_template().unwrap();
    let mut specimens = all();
    // What honest components may take on a slow machine is more than there is to wait for.
    specimens.retain(|specimen| specimen.name != "takes too long to compile");
    let mut resident = Vec::new();
    let mut before = None;
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let mut honest = JoinSet::new();
        for _ in 0..2 {
            honest.spawn(behave(template.clone(), Arc::clone(&stop), Arc::clone(&answered)));
        }
        specimens = keepers(&sandbox, specimens, round).await;
        stop.store(true, Ordering::Relaxed);
        while let Some(done) = honest.join_next().await {
            done.expect("an honest call failed beside the zoo");
        }
        assert!(answered.load(Ordering::Relaxed) > specimens.len(), "honest calls hardly had a turn");
        // Threads of the runtime that waited for components end by themselves after some seconds, and are not counted.
        let now = eventually("calls and compilers of the zoo end", Duration::from_secs(20), || async {
            let now = held();
            if now.children == 0 && now.calls == 0 { Ok(now) } else { Err(format!("{now:?}")) }
        })
        .await;
        resident.push(resident_bytes());
        let descriptors = *before.get_or_insert(now.descriptors);
        assert_eq!(now.descriptors, descriptors, "descriptors are left open in round {round}");
    }
    assert!(resident[ROUNDS - 1] <= resident[1] + SLACK, "memory grows from round to round: {resident:?}");
    // Every place is free: as many at once as there are, and more.
    let mut crowd = JoinSet::new();
    for _ in 0..50 {
        let template = template.clone();
        crowd.spawn(async move { template.plan(&request()).await.unwrap() });
    }
    assert_eq!(crowd.join_all().await.len(), 50);
}

/// Plans until it is told to stop; every plan is the same.
async fn behave(template: Template, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
    let expected = template.plan(&request()).await.unwrap();
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(template.plan(&request()).await.unwrap(), expected);
        answered.fetch_add(1, Ordering::Relaxed);
        pace.tick().await;
    }
}

/// Shows every specimen to the sandbox, four at a time. The compiler has seen enough of its own after the first round.
async fn keepers(sandbox: &Sandbox, specimens: Vec<Specimen>, round: usize) -> Vec<Specimen> {
    let cages = Arc::new(tokio::sync::Semaphore::new(4));
    let mut visits = JoinSet::new();
    for specimen in specimens {
        let (cages, sandbox) = (Arc::clone(&cages), sandbox.clone());
        visits.spawn(async move {
            let _cage = cages.acquire_owned().await.unwrap();
            if round > 0 && specimen.layer == Some(Layer::Compile) {
                return specimen;
            }
            let mut loading = JoinSet::new();
            loading.spawn_blocking(move || (sandbox.load(&specimen.bytes), specimen));
            let (loaded, specimen) = loading.join_next().await.unwrap().expect("loading it panicked");
            let fate = match loaded {
                Err(error) => Fate::Stopped(error.layer(), error.to_string()),
                Ok(component) => ask(&component, specimen.config).await,
            };
            let layer = match &fate {
                Fate::Stopped(layer, _) => Some(*layer),
                Fate::Served => None,
            };
            assert_eq!(layer, specimen.layer, "{}: {fate:.300?}", specimen.name);
            specimen
        });
    }
    visits.join_all().await
}
