//! Every fault at every call of every operation, in its first run and in the one that recovers.
//!
//! The table is made from what is registered: the operations that there are, and the calls each of them is seen to make of the
//! engine. An operation, a step or a call that is added adds rows to it by itself. A server that is killed is threads
//! and connections that end at once; what they asked of the engine has happened, or has not.
//!
//! `CONVERGENCE_TEST_ENGINE` says which database it is about.
#![expect(clippy::print_stdout, reason = "how many cases there were is worth seeing")]

use std::collections::{BTreeMap, BTreeSet};

use convergence_model::operation::OperationState;
use convergence_provision::kind;
use convergence_runtime::fake::Call;
use convergence_work::Kind;

use crate::rehearsal;
use crate::table::{AGAIN, Case, Scene, TROUBLES, Table, Trouble};

/// Which rows with a second fault are tried. The rows with one fault are always tried, all of them.
#[derive(Debug, Clone, Copy)]
enum Pairs {
    /// One in so many, and besides those what would be missing: each death at each call of the first run has a row, and
    /// each trouble at each kind of call of a recovery has one. What every change waits for.
    OneIn(usize),
    /// All of them, a number that grows with the square of the calls: `cargo xtask test --full`.
    All,
}

impl Pairs {
    /// The sample of this run's database. A row takes four times as long on PostgreSQL.
    fn sample() -> Self {
        Self::OneIn(if convergence_test_database::is_postgres() { 31 } else { 7 })
    }

    /// The second faults to try after one death: place and trouble among the calls of the recovery. `tried` is what was tried
    /// after earlier deaths.
    fn of(self, death: usize, recovery: &[Call], tried: &mut BTreeSet<(&'static str, usize)>) -> Vec<(usize, Trouble)> {
        let mut chosen = Vec::new();
        for (index, call) in recovery.iter().enumerate() {
            for (number, trouble) in AGAIN.into_iter().enumerate() {
                let diagonal = match self {
                    Self::OneIn(step) => (death + AGAIN.len() * index + number).is_multiple_of(step),
                    Self::All => true,
                };
                // Not `||`: what the diagonal has was tried as well.
                if tried.insert((call.method, number)) | diagonal {
                    chosen.push((index + 1, trouble));
                }
            }
        }
        if chosen.is_empty() && !recovery.is_empty() {
            chosen.push((1 + death % recovery.len(), AGAIN[death % AGAIN.len()]));
        }
        chosen
    }
}

/// Every row of one operation, each at a place its run comes to.
async fn try_all(kind: &'static Kind, scene: Scene, pairs: Pairs) {
    let mut table = Box::pin(Table::new()).await;
    let clean = Box::pin(table.run(Case::clean(kind, scene))).await;
    let expected = if scene == Scene::AppFails { OperationState::Failed } else { OperationState::Succeeded };
    assert_eq!(clean.operation.state, expected, "{} without any trouble: {:?}", kind.name, clean.operation.failure);
    let (mut cases, mut by_call) = (0_u32, BTreeMap::<&str, u32>::new());
    let (mut deaths, mut tried) = (0, BTreeSet::new());
    let places = clean.calls.iter().enumerate().map(|(index, call)| (index + 1, call));
    for (at, call) in places.filter(|(_, call)| scene.adds(call)) {
        let on_the_way_back = clean.calls[..at - 1].iter().any(|call| call.method == "wait_ready");
        for trouble in TROUBLES {
            let case = Case { first: Some((at, trouble)), on_the_way_back, ..Case::clean(kind, scene) };
            let recovery = Box::pin(table.run(case)).await;
            cases += 1;
            *by_call.entry(call.method).or_default() += 1;
            if !trouble.kills() {
                continue;
            }
            deaths += 1;
            for again in pairs.of(deaths, &recovery.calls, &mut tried) {
                Box::pin(table.run(Case { second: Some(again), ..case })).await;
                cases += 1;
                *by_call.entry(call.method).or_default() += 1;
            }
        }
    }
    let engine = if convergence_test_database::is_postgres() { "postgres" } else { "sqlite" };
    println!(
        "{} {scene:?} {pairs:?} on {engine}: steps {}, {cases} cases, by the call of the first fault: {by_call:?}",
        kind.name,
        convergence_provision::steps(kind.name).join(" → "),
    );
    // A rotation asks no engine; in `variables` its server is killed after each of its events, in `cuts` at each commit.
    assert!(cases > 0 || kind.name == "rekey", "{} makes no call that could go wrong", kind.name);
}

/// Every kind that is registered, and the loop made for the tests.
fn all_kinds() -> Vec<&'static Kind> {
    convergence_provision::kinds().chain([&rehearsal::KIND]).collect()
}

/// The rows of every operation there is, by their place in the list; the last of these tests takes all that were added
/// since.
async fn nth_kind(place: usize, pairs: Pairs) {
    try_all(all_kinds()[place], Scene::Sound, pairs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_first_operation() {
    nth_kind(0, Pairs::sample()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_second_operation() {
    nth_kind(1, Pairs::sample()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_third_operation() {
    nth_kind(2, Pairs::sample()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_all_other_operations() {
    for place in 3..all_kinds().len() {
        nth_kind(place, Pairs::sample()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_on_the_way_back() {
    try_all(&kind::SPAWN, Scene::AppFails, Pairs::sample()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_deployment_that_does_not_come_up() {
    try_all(&kind::DEPLOY, Scene::AppFails, Pairs::sample()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_repair_that_replaces_what_was_altered() {
    try_all(&kind::REPAIR, Scene::Altered, Pairs::sample()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "thousands of rows: cargo xtask test --full"]
async fn every_pair_of_faults_of_the_first_operation() {
    nth_kind(0, Pairs::All).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "thousands of rows: cargo xtask test --full"]
async fn every_pair_of_faults_of_all_other_operations() {
    for place in 1..all_kinds().len() {
        nth_kind(place, Pairs::All).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "thousands of rows: cargo xtask test --full"]
async fn every_pair_of_faults_on_the_way_back_and_of_a_repair() {
    try_all(&kind::SPAWN, Scene::AppFails, Pairs::All).await;
    try_all(&kind::REPAIR, Scene::Altered, Pairs::All).await;
}
