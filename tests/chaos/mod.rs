//! The real server under a running workload on real containers, killed again and again; afterwards nothing is lost, doubled
//! or left over.
//!
//! `cargo xtask chaos --kills N --seed S` runs any number of kills; the suite runs 30. The seed decides what each client
//! asks for and how long each server lives, so a run is replayed as far as the machine's own timing allows. `SIGKILL` ends
//! the process wherever it is; which steps were active then is read from its database before the next one starts.

mod change;
mod compare;
mod dice;
mod given;
mod rehearsal;
mod workload;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use convergence_model::Scope;
use convergence_model::operation::{EventKind, OperationState};
use convergence_store::{OperationQuery, Store};

use crate::harness::{Options, Server, number};
use dice::Dice;
use rehearsal::Rehearsals;
use workload::Workload;

/// How long a server lives before it is killed, in milliseconds.
const LIFE: std::ops::Range<u64> = 30..1200;
/// How long what was begun may take to end once nobody kills any more.
const SETTLING: Duration = Duration::from_secs(120);
/// Of the kills, how many percent must meet an active step for the run to mean anything.
const ACTIVE_MIN: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_loses_and_doubles_nothing_docker_exclusive() {
    let (kills, seed) = (number("CONVERGENCE_CHAOS_KILLS", 30), number("CONVERGENCE_CHAOS_SEED", 1));
    let mut server = Server::with(Options {
        tables: "\n[reconcile]\ninterval-seconds = 1\ngrace-seconds = 2\norphan-volumes = \"remove\"\n".to_owned(),
        ..Options::default()
    })
    .await;
    workload::warm_up(&server).await;

    let rehearsals = Rehearsals::begin(&server, kills).await;
    let workload = Workload::start(&server.http, seed);
    let mut dice = Dice::new(seed);
    let (mut active, mut by_step, mut recoveries) = (0, BTreeMap::<String, u64>::new(), Vec::new());
    for _ in 0..kills {
        // The time to live is what is being tried, not a wait for something.
        tokio::time::sleep(Duration::from_millis(dice.between(LIFE))).await;
        server.kill();
        let steps = active_steps(&server.location()).await;
        active += usize::from(!steps.is_empty());
        let steps = if steps.is_empty() { vec!["(none)".to_owned()] } else { steps };
        steps.into_iter().for_each(|step| *by_step.entry(step).or_default() += 1);
        let began = Instant::now();
        server.launch().await;
        recoveries.push(began.elapsed());
    }
    let done = workload.stop().await;
    let loops = rehearsals.compare(&server).await;
    compare::settle(&server, SETTLING).await;
    compare::everything(&server, &done).await;
    let keys = given::keys(&server).await;

    recoveries.sort();
    let at = |share: usize| recoveries.get(recoveries.len() * share / 100).or(recoveries.last()).copied();
    println!("chaos: {kills} kills, seed {seed}: {active} of them inside an active step; by step: {by_step:?}");
    println!(
        "chaos: {} spawned, {} deployed, {} started, stopped or restarted, {} destroyed, {} alive at the end; a server answers again after p50 {:?}, p99 {:?}",
        done.spawned,
        done.deployed,
        done.asked,
        done.destroyed,
        done.alive.len(),
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default()
    );
    println!(
        "chaos: {} changes of variables, {} secrets set, {} scaled, {} rotations of the key ring acknowledged, {keys} keys in it at the end",
        done.configured, done.secrets_set, done.scaled, done.rotated
    );
    println!("chaos: {loops}");
    compare::remove_all(&server, &done).await;
    let kills = usize::try_from(kills).unwrap();
    assert!(
        active * 100 >= kills * ACTIVE_MIN,
        "only {active} of {kills} kills met an active step: more load is needed"
    );
}

/// The steps that were begun and not done in the operations somebody worked on.
async fn active_steps(location: &str) -> Vec<String> {
    let store = Store::open(location).await.unwrap();
    let scope = Scope::platform();
    let query = OperationQuery { subject: None, state: Some(OperationState::Running), before: None, limit: 100 };
    let mut steps = Vec::new();
    for operation in store.operations(&scope, query).await.unwrap() {
        let events = store.events(&scope, operation.id, 0, 10_000).await.unwrap();
        let way = operation.direction.as_str();
        let last = events.iter().rev().find(|event| event.event != EventKind::Line);
        let step = match last.map(|event| (event.event, event.step.as_str())) {
            Some((EventKind::Started | EventKind::Waiting | EventKind::HandedOver, step)) => step,
            Some((EventKind::Failed | EventKind::Undone, step)) => step,
            _ => "start",
        };
        steps.push(format!("{} {way} {step}", operation.kind));
    }
    store.close().await;
    steps
}
