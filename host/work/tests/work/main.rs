//! Loops, waits, signals and schedules, with a kind that does as it is asked, on the database that
//! `CONVERGENCE_TEST_ENGINE` names. Sequences are tried where there are some: in the room that registers them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod site;

use std::sync::atomic::Ordering;
use std::time::Duration;

use convergence_model::ids::Clock;
use convergence_model::operation::{Checkpoint, EventKind, Lane, OperationState, Subject};
use convergence_model::{OperationId, Scope};
use convergence_store::{Conflict, NewEvent, NewOperation, OperationQuery, StepDone, StoreError, Wanted};
use convergence_work::{Cadence, Registry, RequestError, Schedule, Signal, SignalKey};

use site::{Act, Far, KIND, ORG, PATIENCE, Site};

fn signal(name: &str, key: &str) -> Signal {
    let key = SignalKey { name: name.to_owned(), key: key.to_owned() };
    Signal { key, payload: serde_json::json!({ "why": "a test" }) }
}

fn listen() -> Act {
    Act::Listen("go".to_owned())
}

fn far(operation: convergence_model::operation::Operation) -> Far {
    serde_json::from_value(operation.result.expect("a result")).unwrap()
}

#[tokio::test]
async fn operations_that_wait_hold_no_worker_and_no_lease() {
    let mut site = Site::new().await;
    site.settings.network_concurrency = 2;
    let server = site.server();
    let mut waiting = Vec::new();
    for number in 0..50 {
        waiting.push(site.begin(&server.operations, number, &[Act::Go, listen(), Act::Go]).await.unwrap());
    }
    for id in &waiting {
        site.reaches(*id, OperationState::Waiting).await;
    }
    // With both workers free another one is done at once.
    let other = site.begin(&server.operations, 100, &[Act::Go, Act::Sleep(1), Act::Go]).await.unwrap();
    site.reaches(other, OperationState::Succeeded).await;
    assert_eq!(site.store.backlog().await.unwrap().waiting, 50);
    assert_eq!(site.store.end_leases("worker").await.unwrap(), 0, "none of them holds a lease");
}

#[tokio::test]
async fn a_signal_wakes_an_operation_once_and_is_noted() {
    let site = Site::new().await;
    let server = site.server();
    let id = site.begin(&server.operations, 1, &[listen(), Act::Go]).await.unwrap();
    site.reaches(id, OperationState::Waiting).await;
    let scope = Scope::platform();
    // Another name wakes nobody, and the same key is told once.
    for told in [true, false] {
        assert_eq!(server.operations.signal(&scope, id, &signal("other", "early")).await.unwrap(), told);
    }
    assert_eq!(site.operation(id).await.state, OperationState::Waiting);
    assert!(server.operations.signal(&scope, id, &signal("go", "one")).await.unwrap());
    let told = far(site.reaches(id, OperationState::Succeeded).await).told;
    assert_eq!(told, ["one"], "what it waited for, and nothing of another name");
    let over = server.operations.signal(&scope, id, &signal("go", "late")).await.unwrap_err();
    assert!(matches!(over, RequestError::Store(StoreError::Conflict(Conflict::Over { .. }))), "{over}");
    let nobody = OperationId(uuid::Uuid::from_u128(999));
    let absent = server.operations.signal(&scope, nobody, &signal("go", "late")).await.unwrap_err();
    assert!(matches!(absent, RequestError::Store(StoreError::Conflict(Conflict::NoOperation { .. }))), "{absent}");
}

#[tokio::test]
async fn a_signal_that_comes_before_the_operation_waits_for_it_is_not_lost() {
    let site = Site::new().await;
    let front = site.front();
    let id = site.begin(&front, 1, &[Act::Go, listen(), Act::Go]).await.unwrap();
    assert!(front.signal(&Scope::platform(), id, &signal("go", "early")).await.unwrap());
    let _server = site.server();
    assert_eq!(far(site.reaches(id, OperationState::Succeeded).await).told, ["early"]);
}

#[tokio::test]
async fn what_waits_can_be_cancelled_and_is_closed() {
    let site = Site::new().await;
    let server = site.server();
    let id = site.begin(&server.operations, 1, &[listen()]).await.unwrap();
    site.reaches(id, OperationState::Waiting).await;
    server.operations.cancel(&Scope::platform(), "tester", id).await.unwrap();
    site.reaches(id, OperationState::Cancelled).await;
    assert_eq!(*site.scripted.closed.lock().unwrap(), ["cancelled"]);
}

#[tokio::test]
async fn a_step_that_panics_fails_its_operation_and_nothing_else() {
    let site = Site::new().await;
    let server = site.server();
    let id = site.begin(&server.operations, 1, &[Act::Go, Act::Panic]).await.unwrap();
    let failure = site.reaches(id, OperationState::Failed).await.failure.unwrap();
    assert_eq!((failure.step.as_str(), failure.message.as_str()), ("step", "the step panicked: told to panic"));
    let other = site.begin(&server.operations, 1, &[Act::Go]).await.unwrap();
    site.reaches(other, OperationState::Succeeded).await;
}

#[tokio::test]
async fn a_step_that_is_once_is_asked_about_when_a_server_stops_in_the_middle_of_it() {
    let mut site = Site::new().await;
    site.settings.drain = Duration::ZERO;
    let server = site.server();
    let id = site.begin(&server.operations, 1, &[Act::Go, Act::Hang, Act::Go]).await.unwrap();
    site.scripted.hangs.notified().await;
    server.stop().await;
    assert_eq!(site.operation(id).await.state, OperationState::Queued, "it is handed over");
    let _next = site.server();
    let done = far(site.reaches(id, OperationState::Succeeded).await);
    assert_eq!(done.repeated, 1, "its outcome was looked up, not repeated");
    let events = site.store.events(&Scope::platform(), id, 0, 100).await.unwrap();
    assert!(events.iter().any(|event| event.detail.contains("outcome is not known")), "{events:?}");
}

#[tokio::test]
async fn one_exclusive_operation_of_a_subject_at_a_time() {
    let site = Site::new().await;
    let (one, two) = (site.front(), site.front());
    let acts = [listen()];
    let (first, second) = tokio::join!(site.begin(&one, 1, &acts), site.begin(&two, 1, &acts));
    let refused = [first, second]
        .into_iter()
        .filter(|begun| matches!(begun, Err(RequestError::Store(StoreError::Conflict(Conflict::SubjectBusy { .. })))));
    assert_eq!(refused.count(), 1);
    assert!(site.begin(&one, 2, &[listen()]).await.is_ok(), "another subject is free");
}

#[tokio::test]
async fn what_this_version_does_not_know_is_left_alone_and_shown() {
    let site = Site::new().await;
    let front = site.front();
    let strange =
        NewOperation { kind: "from-the-future", ..front.new_operation(&KIND, serde_json::json!({}), "tester") };
    let subject = Subject::of("script", 1);
    site.store.begin_on(ORG, &subject, &strange, "scripted.asked").await.unwrap();
    // One whose checkpoint a newer version of its kind wrote.
    let newer = site.begin(&front, 2, &[listen(), Act::Go]).await.unwrap();
    let (known, now) = (front.known(), jiff::Timestamp::UNIX_EPOCH);
    let wanted =
        Wanted { worker: "newer", lease: PATIENCE, lane: Lane::Network, kinds: &known, after: ORG, only: Some(newer) };
    let claimed = site.store.claim(wanted, now).await.unwrap().unwrap();
    let checkpoint = Checkpoint { version: KIND.checkpoint + 1, steps: 0, state: serde_json::json!({ "new": true }) };
    let step = StepDone { checkpoint: &checkpoint, done: None, seen: &[] };
    site.store.step_done(&claimed.lease, step, None, now).await.unwrap();
    let why = NewEvent { step: "step", event: EventKind::HandedOver, detail: "" };
    site.store.put_back(&claimed.lease, Duration::ZERO, None, why, now).await.unwrap();

    let server = site.server();
    let known_one = site.begin(&server.operations, 3, &[Act::Go]).await.unwrap();
    site.reaches(known_one, OperationState::Succeeded).await;
    for id in [strange.id, newer] {
        assert_eq!(site.operation(id).await.state, OperationState::Queued);
    }
    let shown = site.store.unclaimable(&known).await.unwrap();
    let shown: Vec<_> = shown.iter().map(|row| (row.kind.as_str(), row.checkpoint_version, row.count)).collect();
    assert_eq!(shown, [("from-the-future", 0, 1), ("scripted", KIND.checkpoint + 1, 1)]);
}

#[tokio::test]
async fn a_schedule_misses_no_period_and_begins_none_twice() {
    let site = Site::new().await;
    let hourly = || {
        Registry::default().schedule(Schedule {
            name: "hourly",
            cadence: Cadence::Every(Duration::from_secs(3600)),
            org: ORG,
            subject: Subject::of("script", "hourly"),
            kind: &KIND,
            input: |_due| serde_json::json!([Act::Go]),
        })
    };
    let begun = async || {
        let query = OperationQuery { subject: None, state: None, before: None, limit: 100 };
        let all = site.store.operations(&Scope::platform(), query).await.unwrap();
        all.iter().filter(|operation| operation.state == OperationState::Succeeded).count()
    };
    let comes_to = async |wanted: usize| {
        let asked = std::time::Instant::now();
        while begun().await < wanted {
            assert!(asked.elapsed() < PATIENCE, "{} of {wanted} were begun", begun().await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(begun().await, wanted);
    };
    // Nothing is due of the time before it existed.
    site.store.schedule("hourly", site.clock.now()).await.unwrap();
    let server = site.server_with(hourly());
    site.clock.0.fetch_add(3600, Ordering::Relaxed);
    comes_to(1).await;
    server.stop().await;
    // Down for three hours; then two servers at once, and a clock that is set back in between.
    site.clock.0.fetch_add(3 * 3600, Ordering::Relaxed);
    let (one, two) = (site.server_with(hourly()), site.server_with(hourly()));
    comes_to(4).await;
    site.clock.0.fetch_sub(2 * 3600, Ordering::Relaxed);
    one.stop().await;
    two.stop().await;
    let last = site.server_with(hourly());
    site.clock.0.fetch_add(3 * 3600, Ordering::Relaxed);
    comes_to(5).await;
    last.stop().await;
}
