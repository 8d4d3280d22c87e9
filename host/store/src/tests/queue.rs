//! What becomes of an operation between two attempts: when it is taken again, how far it got, what is held against it.

use std::time::Instant;

use convergence_model::operation::{Direction, EventKind};

use super::*;

pub(super) fn waiting(step: &str) -> NewEvent<'_> {
    NewEvent { step, event: EventKind::Waiting, detail: "the engine is away" }
}

async fn operation(store: &Store, n: u128) -> Operation {
    store.operation(&own(), operation_id(n)).await.unwrap().unwrap()
}

async fn take(store: &Store) -> Option<Claimed> {
    claim(store, "worker", HELD, at(5)).await.unwrap()
}

/// Claims operation 1 whose worker let its lease run out.
async fn take_over(store: &Store, lease: Duration) -> Claimed {
    claim_one(store, operation_id(1), "another", lease, at(6)).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_was_put_back_is_not_taken_before_its_time() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    store.put_back(&lease, HELD, None, waiting("image"), at(2)).await.unwrap();
    let waits = operation(&store, 1).await;
    assert_eq!((waits.state, waits.retries), (OperationState::Queued, 1));
    assert_eq!(take(&store).await, None);
    assert_eq!(claim_one(&store, operation_id(1), "worker", HELD, at(3)).await.unwrap(), None);
    assert_eq!(renew(&store, &lease).await, None, "the server that put it back has it no more");
    let told = store.events(&own(), operation_id(1), 0, 10).await.unwrap();
    assert_eq!((told[0].event, told[0].detail.as_str()), (EventKind::Waiting, "the engine is away"));

    // One that has waited stands in nobody's way, and is taken as soon as its time has come.
    let other = spawned_and_claimed(&store, 2, "other", HELD).await.lease;
    let (asked, pause) = (Instant::now(), Duration::from_millis(300));
    store.put_back(&other, pause, None, waiting("image"), at(4)).await.unwrap();
    let taken = loop {
        if let Some(taken) = take(&store).await {
            break taken;
        }
        assert!(asked.elapsed() < Duration::from_secs(30), "its time never came");
    };
    assert_eq!((taken.operation.id, taken.lease.epoch), (operation_id(2), 2));
    // SQLite's clock counts whole milliseconds: up to one of them had passed when it was read.
    assert!(asked.elapsed() + Duration::from_millis(1) >= pause, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn what_is_handed_over_is_taken_at_once_and_nothing_is_held_against_it() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    let event = NewEvent { step: "image", event: EventKind::HandedOver, detail: "the server stops" };
    store.put_back(&lease, Duration::ZERO, None, event, at(2)).await.unwrap();
    let taken = take(&store).await.unwrap().operation;
    assert_eq!((taken.retries, taken.crashes), (0, 0));
}

#[tokio::test]
async fn which_way_an_operation_goes_and_how_far_it_got_survive_a_restart() {
    let fixture = Fixture::new().await;
    let store = fixture.store.clone();
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    store.advance(&lease, 3, &[], at(2)).await.unwrap();
    store.turn_back(&lease, &failure(), at(3)).await.unwrap();
    store.step_back(&lease, 3, "volumes", at(4)).await.unwrap();
    store.close().await;

    let store = fixture.again().await;
    assert_eq!(take(&store).await, None, "its lease goes on");
    assert_eq!(store.end_leases("somebody else").await.unwrap(), 0);
    assert_eq!(store.end_leases("worker").await.unwrap(), 1);
    let taken = take(&store).await.unwrap();
    let now = taken.operation;
    assert_eq!((now.direction, now.progress, now.failure), (Direction::Back, 2, Some(failure())));
    assert_eq!(taken.lease.epoch, lease.epoch + 1);
    let told = store.events(&own(), operation_id(1), 0, 10).await.unwrap();
    let told: Vec<_> = told.iter().map(|event| (event.step.as_str(), event.event)).collect();
    assert_eq!(told, [("image", EventKind::Failed), ("volumes", EventKind::Undone)]);
    store.step_back(&taken.lease, 2, "network", at(7)).await.unwrap();
    assert_eq!(operation(&store, 1).await.progress, 1);
}

#[tokio::test]
async fn a_worker_that_died_is_counted_until_the_operation_gets_further() {
    let Fixture { store, database: _database } = Fixture::new().await;
    // Taken from the queue: nobody died.
    assert_eq!(spawned_and_claimed(&store, 1, "app", OVER).await.operation.crashes, 0);
    assert_eq!(take_over(&store, OVER).await.operation.crashes, 1);
    let held = take_over(&store, HELD).await;
    assert_eq!(held.operation.crashes, 2);
    store.put_back(&held.lease, Duration::ZERO, None, waiting("image"), at(7)).await.unwrap();
    let held = take_over(&store, HELD).await;
    assert_eq!((held.operation.crashes, held.operation.retries), (2, 1), "it was put back, not dropped");

    store.advance(&held.lease, 1, &[], at(8)).await.unwrap();
    let now = operation(&store, 1).await;
    assert_eq!((now.progress, now.crashes, now.retries), (1, 0, 0), "further than ever before");
    store.put_back(&held.lease, Duration::ZERO, None, waiting("image"), at(9)).await.unwrap();
    let held = take_over(&store, OVER).await;
    store.advance(&held.lease, 1, &[], at(10)).await.unwrap();
    assert_eq!(operation(&store, 1).await.retries, 1, "no further than before: nothing is forgiven");

    let held = take_over(&store, HELD).await;
    store.turn_back(&held.lease, &failure(), at(11)).await.unwrap();
    let now = operation(&store, 1).await;
    assert_eq!((now.crashes, now.retries), (0, 0), "the way back begins with a clean slate");
    store.put_back(&held.lease, Duration::ZERO, None, waiting("image"), at(12)).await.unwrap();
    take_over(&store, OVER).await;
    let held = take_over(&store, HELD).await;
    assert_eq!((held.operation.crashes, held.operation.retries), (1, 1));
    store.step_back(&held.lease, 1, "image", at(13)).await.unwrap();
    let now = operation(&store, 1).await;
    assert_eq!((now.progress, now.crashes, now.retries), (0, 0, 0), "every step that is undone counts");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_put_aside_and_the_next_one_is_taken() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let broken = store.begin_spawn(&own(), &new_spawn(1, "broken")).await.unwrap().tenant;
    store.begin_spawn(&own(), &at_time(new_spawn(2, "fine"), at(1))).await.unwrap();
    let sql = "UPDATE operations SET input = '{' WHERE id = '00000000-0000-0000-0000-000090000001'";
    assert_eq!(tamper(&store, sql).await.unwrap(), 1);
    assert_eq!(take(&store).await.unwrap().operation.id, operation_id(2));
    assert_eq!(take(&store).await, None);
    assert_eq!(store.backlog().await.unwrap().stuck, 1);
    let status = store.tenant(&own(), broken.env_id).await.unwrap().unwrap().status;
    assert_eq!(status, TenantStatus::Failed, "somebody sees it");
    // And can do something about it.
    destroy_asked(&store, &own(), broken.env_id, 3, at(2)).await.unwrap().unwrap();
    assert_eq!(take(&store).await.unwrap().operation.id, operation_id(3));
}

#[tokio::test]
async fn the_time_that_is_left_is_counted_from_the_request_over_all_attempts() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let patient = |n, name, patience| {
        let spawn = new_spawn(n, name);
        NewSpawn { operation: NewOperation { patience, ..spawn.operation }, ..spawn }
    };
    store.begin_spawn(&own(), &patient(1, "app", HELD)).await.unwrap();
    let first = claim_one(&store, operation_id(1), "worker", OVER, at(1)).await.unwrap().unwrap().time_left;
    // SQLite's clock counts whole milliseconds, so some attempts may pass within one.
    let asked = Instant::now();
    let second = loop {
        let left = take_over(&store, OVER).await.time_left;
        if left != first {
            break left;
        }
        assert!(asked.elapsed() < Duration::from_secs(30), "the time that is left stays {first:?}");
    };
    assert!(HELD >= first && first > second, "{first:?}, then {second:?}");
    assert!(second > HELD - Duration::from_secs(60), "{second:?}");
    take_over(&store, HELD).await;
    store.begin_spawn(&own(), &patient(2, "hasty", Duration::ZERO)).await.unwrap();
    assert_eq!(take(&store).await.unwrap().time_left, Duration::ZERO);
}
