//! Operations that wait, what they are told, and whose turn it is.

use convergence_model::operation::Checkpoint;

use super::*;
use crate::{Signal, SignalKey, StepDone, Until};

fn a_loop(n: u128, lane: Lane) -> NewOperation {
    NewOperation { lane, exclusive: false, ..asked(n, "loop", at(i64::try_from(n).unwrap())) }
}

async fn begun(store: &Store, org: OrgId, n: u128) -> Operation {
    store.begin_on(org, &Subject::platform(), &a_loop(n, Lane::Engine), "loop.asked").await.unwrap()
}

fn checkpoint(steps: usize) -> Checkpoint {
    Checkpoint { version: 2, steps, state: serde_json::json!({ "steps": steps }) }
}

async fn suspend(store: &Store, n: u128, until: Until<'_>) {
    // PostgreSQL passes over a row that somebody who tells it something has locked.
    let asked = std::time::Instant::now();
    let claimed = loop {
        if let Some(claimed) = claim_one(store, operation_id(n), "worker", HELD, at(9)).await.unwrap() {
            break claimed;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "operation {n} cannot be claimed");
    };
    let checkpoint = checkpoint(1);
    let step = StepDone { checkpoint: &checkpoint, done: Some("step"), seen: &[] };
    store.suspend(&claimed.lease, step, until, at(10)).await.unwrap();
}

async fn state(store: &Store, n: u128) -> OperationState {
    store.operation(&own(), operation_id(n)).await.unwrap().unwrap().state
}

#[tokio::test]
async fn what_waits_for_a_time_is_woken_when_it_comes_and_not_before() {
    let Fixture { store, database: _database } = Fixture::new().await;
    for n in 1..=3 {
        begun(&store, ORG, n).await;
    }
    suspend(&store, 1, Until { after: Some(HELD), signal: None }).await;
    suspend(&store, 2, Until { after: Some(Duration::ZERO), signal: Some("go") }).await;
    suspend(&store, 3, Until { after: None, signal: Some("go") }).await;
    let woken = store.wake().await.unwrap();
    assert_eq!(woken.woken, 1);
    assert_eq!(state(&store, 2).await, OperationState::Queued);
    let woken = store.wake().await.unwrap();
    assert_eq!(woken.woken, 0);
    assert!(woken.next.is_some_and(|next| next <= HELD && next > HELD / 2), "{woken:?}");
    assert_eq!((state(&store, 1).await, state(&store, 3).await), (OperationState::Waiting, OperationState::Waiting));
    let kept = store.operation(&own(), operation_id(1)).await.unwrap().unwrap().checkpoint;
    assert_eq!(kept, Some(checkpoint(1)));
    assert_eq!(store.prune(at(1_000_000)).await.unwrap(), 0, "however long it waits, it is not forgotten");
}

#[tokio::test]
async fn a_signal_and_the_beginning_of_a_wait_never_miss_each_other() {
    let Fixture { store, database: _database } = Fixture::new().await;
    for n in 1..=20_u128 {
        begun(&store, ORG, n).await;
        let signal = Signal {
            key: SignalKey { name: "go".to_owned(), key: "one".to_owned() },
            payload: serde_json::json!(n.to_string()),
        };
        let scope = own();
        let told = store.signal(&scope, operation_id(n), &signal, at(11));
        let (told, ()) = tokio::join!(told, suspend(&store, n, Until { after: None, signal: Some("go") }));
        assert!(told.unwrap());
        assert_eq!(state(&store, n).await, OperationState::Queued, "whichever came first");
        assert_eq!(store.signals(operation_id(n)).await.unwrap(), [signal]);
    }
}

#[tokio::test]
async fn leases_are_renewed_together_and_those_that_are_lost_are_not() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let mut leases = Vec::new();
    for n in 1..=30 {
        begun(&store, ORG, n).await;
        leases.push(claim_one(&store, operation_id(n), "worker", OVER, at(1)).await.unwrap().unwrap().lease);
    }
    let taken_over = claim_one(&store, operation_id(7), "another", HELD, at(2)).await.unwrap().unwrap();
    let renewed = store.renew("worker", &leases, HELD).await.unwrap();
    assert_eq!(renewed.len(), 29);
    assert!(renewed.iter().all(|renewed| renewed.lease.operation != operation_id(7)));
    assert_eq!(store.renew("another", &[taken_over.lease], HELD).await.unwrap().len(), 1);
    assert_eq!(claim(&store, "third", HELD, at(3)).await.unwrap(), None, "all of them are held");
    assert_eq!(store.renew("worker", &[], HELD).await.unwrap(), []);
}

#[tokio::test]
async fn organizations_take_turns_within_a_lane() {
    let Fixture { store, database: _database } = Fixture::new().await;
    for org in 2..=3 {
        let sql = if org == 2 {
            "INSERT INTO organizations (id, name, plan, created_at) VALUES (2, 'two', 'free', 0)"
        } else {
            "INSERT INTO organizations (id, name, plan, created_at) VALUES (3, 'three', 'free', 0)"
        };
        tamper(&store, sql).await.unwrap();
    }
    // The first organization asked for a lot before the others asked for anything.
    for n in 1..=4 {
        begun(&store, ORG, n).await;
    }
    begun(&store, OrgId(2), 5).await;
    begun(&store, OrgId(3), 6).await;
    begun(&store, OrgId(3), 7).await;
    let (kinds, mut after, mut order) = (known(), OrgId(i64::MIN), Vec::new());
    let wanted = |after, lane| Wanted { worker: "worker", lease: HELD, lane, kinds: &kinds, after, only: None };
    while let Some(claimed) = store.claim(wanted(after, Lane::Engine), at(9)).await.unwrap() {
        after = claimed.operation.org;
        order.push(after.0);
    }
    assert_eq!(order, [1, 2, 3, 1, 3, 1, 1]);
    store.begin_on(ORG, &Subject::platform(), &a_loop(8, Lane::Batch), "loop.asked").await.unwrap();
    assert_eq!(store.claim(wanted(after, Lane::Engine), at(9)).await.unwrap(), None, "a lane takes its own");
    assert!(store.claim(wanted(after, Lane::Batch), at(9)).await.unwrap().is_some());
}
