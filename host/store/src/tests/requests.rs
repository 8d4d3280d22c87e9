//! What can be asked of operations: to begin one once, to withdraw it, to try it again.

use convergence_model::EnvId;
use convergence_model::operation::{Direction, EventKind, Leftover, LeftoverKind, SweepInput};

use super::queue::waiting;
use super::spawning::{all_at_once, refusal};
use super::*;
use crate::{Conflict, Idempotency, StoreError, TenantChange};

#[track_caller]
fn conflict<T: std::fmt::Debug>(outcome: crate::Result<T>) -> Conflict {
    match outcome {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

async fn cancel(store: &Store, n: u128) -> crate::Result<Option<Operation>> {
    store.request_cancel(&own(), operation_id(n), "canceller", at(50)).await
}

async fn retry(store: &Store, n: u128) -> crate::Result<Option<Operation>> {
    store.request_retry(&own(), operation_id(n), HELD, "retrier", at(60)).await
}

/// Claims what is to be claimed next. PostgreSQL lets go of the locks of a request that was refused a moment after the
/// answer, and passes over what is locked until then.
async fn next(store: &Store, when: i64) -> Claimed {
    let asked = std::time::Instant::now();
    loop {
        if let Some(claimed) = claim(store, "worker", HELD, at(when)).await.unwrap() {
            return claimed;
        }
        assert!(asked.elapsed() < Duration::from_secs(10), "nothing is to be claimed");
    }
}

/// What the audit says was done, and by whom.
async fn audit(store: &Store) -> Vec<(String, String)> {
    store.database.all("SELECT actor, action FROM audit ORDER BY seq", Vec::new()).await.unwrap()
}

/// Tenant number `n`, running, and operation `m` on it, of a kind that changes nothing of its status.
async fn with_repair(store: &Store, n: u128, name: &str, m: u128) -> EnvId {
    let spawned = spawned_and_claimed(store, n, name, HELD).await;
    end(store, &spawned.lease, Ended::Spawned, at(2)).await.unwrap();
    let env_id = spawned.operation.env_id().unwrap();
    let found = Entry::found(&[TenantStatus::Running], "tenant.repair");
    store.begin(&own(), env_id, &asked(m, "repair", at(3)), found).await.unwrap().unwrap();
    env_id
}

#[tokio::test]
async fn a_cancel_reaches_the_server_that_works_on_the_operation_or_takes_it_next() {
    let Fixture { store, database: _database } = Fixture::new().await;
    store.begin_spawn(&own(), &new_spawn(1, "queued")).await.unwrap();
    for _ in 0..2 {
        let asked = cancel(&store, 1).await.unwrap().unwrap();
        assert_eq!((asked.state, asked.cancel), (OperationState::Queued, true), "asking again changes nothing");
    }
    let queued = next(&store, 51).await;
    assert!(queued.operation.cancel);

    let running = spawned_and_claimed(&store, 2, "running", HELD).await;
    assert_eq!(renew(&store, &running.lease).await, Some(false));
    assert_eq!(cancel(&store, 2).await.unwrap().unwrap().state, OperationState::Running);
    assert_eq!(renew(&store, &running.lease).await, Some(true));

    // What waits for something to pass is withdrawn at once.
    let waiting = spawned_and_claimed(&store, 3, "waiting", HELD).await;
    let event = NewEvent { step: "image", event: EventKind::Waiting, detail: "" };
    store.put_back(&waiting.lease, HELD, None, event, at(4)).await.unwrap();
    assert_eq!(claim(&store, "worker", HELD, at(5)).await.unwrap(), None);
    cancel(&store, 3).await.unwrap().unwrap();
    let waiting = next(&store, 52).await;
    assert_eq!((waiting.operation.id, waiting.operation.cancel), (operation_id(3), true));

    end(&store, &running.lease, Ended::Undone, at(53)).await.unwrap();
    let over = Conflict::Over { operation: operation_id(2), state: "failed" };
    assert_eq!(conflict(cancel(&store, 2).await), over);
    assert_eq!(cancel(&store, 9).await.unwrap(), None);
    let elsewhere = store.request_cancel(&foreign(), operation_id(1), "outsider", at(54)).await.unwrap();
    assert_eq!(elsewhere, None, "somebody else's is absent");
    let told = audit(&store).await;
    let cancels = told.iter().filter(|(actor, action)| actor == "canceller" && action == "operation.cancel").count();
    assert_eq!((cancels, told.iter().any(|(actor, _)| actor == "outsider")), (4, false), "{told:?}");
}

#[tokio::test]
async fn what_is_stuck_is_tried_again_the_way_it_was_going() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let spawned = spawned_and_claimed(&store, 1, "app", HELD).await;
    store.advance(&spawned.lease, 2, &[], at(2)).await.unwrap();
    store.turn_back(&spawned.lease, &failure(), at(3)).await.unwrap();
    end(&store, &spawned.lease, Ended::Stuck, at(4)).await.unwrap();
    assert_eq!(store.backlog().await.unwrap().stuck, 1);

    let again = retry(&store, 1).await.unwrap().unwrap();
    assert_eq!((again.state, again.direction, again.progress), (OperationState::Queued, Direction::Back, 2));
    assert_eq!(again.failure, Some(failure()), "why it is being undone is still told");
    assert_eq!(store.backlog().await.unwrap().stuck, 0);
    let state = "queued";
    let twice = Conflict::NotRetryable { operation: operation_id(1), state };
    assert_eq!(conflict(retry(&store, 1).await), twice);
    let claimed = next(&store, 61).await;
    assert!(claimed.time_left > Duration::from_secs(60), "it gets its time once more: {:?}", claimed.time_left);
    end(&store, &claimed.lease, Ended::Undone, at(62)).await.unwrap();
    // Its tenant is gone with it, so there is nothing left to try.
    let gone = Conflict::NotRetryable { operation: operation_id(1), state: "failed" };
    assert_eq!(conflict(retry(&store, 1).await), gone);
    assert!(audit(&store).await.contains(&("retrier".to_owned(), "operation.retry".to_owned())));
}

#[tokio::test]
async fn what_failed_and_left_its_tenant_is_tried_again_and_nothing_else_is() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let refused = |state| Conflict::NotRetryable { operation: operation_id(2), state };
    let env_id = with_repair(&store, 1, "app", 2).await;
    assert_eq!(conflict(retry(&store, 2).await), refused("queued"));
    let repair = next(&store, 4).await;
    assert_eq!(conflict(retry(&store, 2).await), refused("running"));
    let action = "tenant.repair-failed";
    let (state, effect) = (OperationState::Failed, Effect::None);
    let ending = Ending { state, failure: Some(failure()), result: None, effect, action };
    store.end(&repair.lease, &ending, at(5)).await.unwrap();

    let foreign = store.request_retry(&foreign(), operation_id(2), HELD, "outsider", at(6)).await.unwrap();
    assert_eq!((foreign, retry(&store, 9).await.unwrap()), (None, None));
    let again = retry(&store, 2).await.unwrap().unwrap();
    assert_eq!((again.state, again.failure, again.direction), (OperationState::Queued, None, Direction::Forward));
    let repair = next(&store, 7).await;
    store.end(&repair.lease, &ending, at(8)).await.unwrap();

    // While something else is done to the tenant it has to wait.
    destroy_asked(&store, &own(), env_id, 3, at(9)).await.unwrap().unwrap();
    assert_eq!(conflict(retry(&store, 2).await), Conflict::SubjectBusy { operation: operation_id(3) });
    let destroy = next(&store, 10).await;
    end(&store, &destroy.lease, Ended::Destroyed, at(11)).await.unwrap();
    let done = Conflict::NotRetryable { operation: operation_id(3), state: "succeeded" };
    assert_eq!(conflict(retry(&store, 3).await), done);
}

#[tokio::test]
async fn a_destroy_gets_past_a_repair_that_nobody_works_on() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let env_id = with_repair(&store, 1, "app", 2).await;
    let repair = next(&store, 4).await;
    assert_eq!(repair.operation.kind, "repair");
    let busy = Conflict::SubjectBusy { operation: operation_id(2) };
    assert_eq!(conflict(destroy_asked(&store, &own(), env_id, 3, at(5)).await), busy, "its worker has to stop first");
    store.put_back(&repair.lease, HELD, None, waiting("image"), at(5)).await.unwrap();
    let destroy = destroy_asked(&store, &own(), env_id, 3, at(5)).await.unwrap().unwrap();
    let passed = store.operation(&own(), operation_id(2)).await.unwrap().unwrap();
    assert_eq!(passed.state, OperationState::Cancelled);
    let claimed = next(&store, 6).await;
    assert_eq!(claimed.operation.id, destroy.id);
    // But not past another destroy, nor does a repair get past a destroy.
    assert_eq!(
        conflict(destroy_asked(&store, &own(), env_id, 4, at(7)).await),
        Conflict::SubjectBusy { operation: destroy.id }
    );
    let any = Entry::found(&[], "tenant.repair");
    let repair = store.begin(&own(), env_id, &asked(5, "repair", at(8)), any).await;
    assert_eq!(conflict(repair), Conflict::SubjectBusy { operation: destroy.id });
}

#[tokio::test]
async fn a_destroy_that_is_refused_leaves_the_repair_alone() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let env_id = with_repair(&store, 1, "app", 2).await;
    let entry = Entry::found(&[TenantStatus::Failed], "tenant.destroy");
    let refused = store.begin(&own(), env_id, &asked(3, "destroy", at(4)), entry).await.unwrap();
    assert_eq!(refused, None);
    assert_eq!(destroy_asked(&store, &foreign(), env_id, 3, at(4)).await.unwrap(), None);
    let repair = store.operation(&own(), operation_id(2)).await.unwrap().unwrap();
    assert_eq!(repair.state, OperationState::Queued);
}

#[tokio::test]
async fn what_no_tenant_has_is_swept_once_at_a_time() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let known = spawned_and_claimed(&store, 1, "app", HELD).await;
    let leftovers = vec![Leftover { kind: LeftoverKind::Volume, name: "t-900-data".to_owned() }];
    let sweep = |n| NewOperation {
        input: serde_json::to_value(SweepInput { leftovers: leftovers.clone(), ordered: false }).unwrap(),
        exclusive: false,
        ..asked(n, "sweep", at(3))
    };
    let nobodys = EnvId(900);
    assert_eq!(
        store.begin_sweep(ORG, known.operation.env_id().unwrap(), &sweep(2)).await.unwrap(),
        None,
        "somebody has it"
    );
    assert_eq!(store.begin_sweep(OrgId(77), nobodys, &sweep(2)).await.unwrap(), None);
    let begun = store.begin_sweep(ORG, nobodys, &sweep(2)).await.unwrap().unwrap();
    let asked = SweepInput { leftovers: leftovers.clone(), ordered: false };
    assert_eq!((begun.env_id(), begun.asked::<SweepInput>().unwrap()), (Some(nobodys), asked.clone()));
    assert_eq!(store.begin_sweep(ORG, nobodys, &sweep(3)).await.unwrap(), None, "it is being done already");

    let claimed = next(&store, 4).await;
    assert_eq!(claimed.operation.asked::<SweepInput>().unwrap(), asked);
    let (state, effect, action) = (OperationState::Failed, Effect::None, "engine.sweep-failed");
    let ending = Ending { state, failure: Some(failure()), result: None, effect, action };
    store.end(&claimed.lease, &ending, at(5)).await.unwrap();
    assert!(retry(&store, 2).await.unwrap().is_some(), "a sweep needs no tenant to be tried again");
    let claimed = next(&store, 6).await;
    let swept = Ending { state: OperationState::Succeeded, failure: None, action: "engine.swept", ..ending };
    store.end(&claimed.lease, &swept, at(7)).await.unwrap();
    assert!(store.begin_sweep(ORG, nobodys, &sweep(3)).await.unwrap().is_some());
    assert_eq!(store.usage(&own(), ORG).await.unwrap().tenants, 1);
}

#[tokio::test]
async fn a_tenant_gets_a_number_that_a_sweep_is_queued_for() {
    let Fixture { store, database: _database } = Fixture::new().await;
    // The engine has something of tenant 1, the database was restored from a backup that has no tenant yet.
    let sweep = NewOperation { exclusive: false, ..asked(1, "sweep", at(1)) };
    let number = EnvId(1);
    assert!(store.begin_sweep(ORG, number, &sweep).await.unwrap().is_some());
    let spawned = store.begin_spawn(&own(), &new_spawn(2, "app")).await.unwrap();
    assert_eq!(spawned.tenant.env_id, number);
    let active = store.active_operation(&own(), number).await.unwrap().unwrap();
    assert_eq!(active.id, spawned.operation.id, "what is done to the tenant is its spawn");
    assert_eq!(store.unfinished().await.unwrap(), 2);
}

fn keyed(n: u128, name: &str, key: &str, request: &[u8]) -> NewSpawn {
    let spawn = new_spawn(n, name);
    let idempotency = Some(Idempotency { key: key.to_owned(), request: request.to_owned() });
    NewSpawn { operation: NewOperation { idempotency, ..spawn.operation }, ..spawn }
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_the_one_it_was() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let sent = |key: &str, request: &[u8]| Idempotency { key: key.to_owned(), request: request.to_owned() };
    // What was refused uses no key up.
    let refused = NewSpawn { quota: Some(0), ..keyed(1, "app", "key", b"request") };
    assert_eq!(refusal(&store, refused).await, Conflict::QuotaReached { limit: 0 });
    assert_eq!(store.begun_with(&own(), ORG, &sent("key", b"request")).await.unwrap(), None);

    let first = store.begin_spawn(&own(), &keyed(1, "app", "key", b"request")).await.unwrap().operation;
    assert_eq!(store.begun_with(&own(), ORG, &sent("key", b"request")).await.unwrap().as_ref(), Some(&first));
    assert_eq!(conflict(store.begun_with(&own(), ORG, &sent("key", b"another")).await), Conflict::KeyReused);
    assert_eq!(store.begun_with(&foreign(), ORG, &sent("key", b"request")).await.unwrap(), None);
    assert_eq!(store.begun_with(&own(), ORG, &sent("yek", b"request")).await.unwrap(), None);
    let begun = Conflict::AlreadyBegun { operation: first.id };
    assert_eq!(refusal(&store, keyed(2, "app", "key", b"request")).await, begun, "told before the name is");
    assert_eq!(refusal(&store, keyed(2, "other", "key", b"another")).await, Conflict::KeyReused);

    // Also when what it made is long gone.
    let lease = next(&store, 1).await.lease;
    end(&store, &lease, Ended::Undone, at(2)).await.unwrap();
    assert_eq!(refusal(&store, keyed(2, "app", "key", b"request")).await, begun);
    store.begin_spawn(&own(), &keyed(2, "app", "yek", b"request")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_requests_with_one_key_at_once_one_makes_a_tenant() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let outcomes = all_at_once(&store, (0..100).map(|n| keyed(n, &format!("app-{n}"), "key", b"request"))).await;
    let made: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!((made.len(), store.usage(&own(), ORG).await.unwrap().tenants), (1, 1));
    let operation = made[0].operation.id;
    let others = outcomes.into_iter().filter(Result::is_err);
    assert!(others.map(conflict).all(|other| other == Conflict::AlreadyBegun { operation }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_takes_nothing_until_something_is_over() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let narrow = |n: u128| NewSpawn { backlog_max: 5, ..new_spawn(n, &format!("app-{n}")) };
    let outcomes = all_at_once(&store, (0..20).map(narrow)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    let full = Conflict::QueueFull { limit: 5 };
    assert!(outcomes.into_iter().filter(Result::is_err).map(conflict).all(|other| other == full));

    // What is under way counts as well as what waits; what is over does not.
    let one = next(&store, 1).await;
    assert_eq!(refusal(&store, narrow(50)).await, full);
    end(&store, &one.lease, Ended::Spawned, at(2)).await.unwrap();
    store.begin_spawn(&own(), &narrow(50)).await.unwrap();
    assert_eq!(refusal(&store, narrow(51)).await, full);
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.queued, backlog.running, backlog.oldest), (5, 0, Some(at(0))));
}

#[tokio::test]
async fn a_change_of_a_tenant_is_in_the_audit_and_one_that_changes_nothing_is_not() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let spawned = spawned_and_claimed(&store, 1, "app", HELD).await;
    end(&store, &spawned.lease, Ended::Spawned, at(2)).await.unwrap();
    let env_id = spawned.operation.env_id().unwrap();
    let change = TenantChange { name: Some(TenantName::parse("shop").unwrap()), protected: Some(true) };
    for n in [3, 4] {
        let changed = store.change_tenant(&own(), env_id, &change, "renamer", at(n)).await.unwrap().unwrap();
        assert_eq!((changed.spec.name.as_str(), changed.protected, changed.updated_at), ("shop", true, at(3)));
    }
    assert_eq!(store.change_tenant(&foreign(), env_id, &change, "outsider", at(5)).await.unwrap(), None);
    let told = audit(&store).await;
    let changes: Vec<_> = told.iter().filter(|(_, action)| action == "tenant.changed").collect();
    assert_eq!(changes, [&("renamer".to_owned(), "tenant.changed".to_owned())], "{told:?}");
    let sql = "SELECT detail FROM audit WHERE action = 'tenant.changed'";
    let details: Vec<(String,)> = store.database.all(sql, Vec::new()).await.unwrap();
    let detail: serde_json::Value = serde_json::from_str(&details[0].0).unwrap();
    assert_eq!(detail["before"], serde_json::json!({ "name": "app", "protected": false }));
    assert_eq!(detail["after"], serde_json::json!({ "name": "shop", "protected": true }));
}
