//! What the platform does of its own accord: who does it, what it knows, what it forgets.

use convergence_model::EnvId;
use convergence_model::operation::EventKind;
use tokio::task::JoinSet;

use super::*;
use crate::Idempotency;

#[tokio::test]
async fn how_a_tenant_stands_tells_what_it_does_and_how_often_it_crashed() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let one = spawned_and_claimed(&store, 1, "one", HELD).await;
    let two = spawned_and_claimed(&store, 2, "two", HELD).await;
    end(&store, &two.lease, Ended::Spawned, at(2)).await.unwrap();
    let standing = async |claimed: &Claimed| store.standings().await.unwrap()[&claimed.operation.env_id().unwrap()];
    assert_eq!(store.standings().await.unwrap().len(), 2);
    let busy = standing(&one).await;
    assert_eq!((busy.tenant, busy.status, busy.busy), (tenant_id(1), TenantStatus::Provisioning, true));
    let idle = standing(&two).await;
    assert_eq!((idle.status, idle.busy, idle.crashes, idle.resting), (TenantStatus::Running, false, 0, false));

    for (crashes, pause, resting) in [(1, HELD, true), (2, Duration::ZERO, false), (3, HELD, true)] {
        store.count_crash(tenant_id(2), pause).await.unwrap();
        let now = standing(&two).await;
        assert_eq!((now.crashes, now.resting), (crashes, resting));
    }
    assert_eq!(standing(&one).await.crashes, 0, "each has its own");
    store.forgive_crashes(tenant_id(2)).await.unwrap();
    assert_eq!(standing(&two).await, idle);

    // A tenant that goes takes its crashes along, and one that is gone has none.
    store.count_crash(tenant_id(2), HELD).await.unwrap();
    destroy_asked(&store, &own(), two.operation.env_id().unwrap(), 3, at(3)).await.unwrap().unwrap();
    let destroy = claim(&store, "worker", HELD, at(4)).await.unwrap().unwrap();
    end(&store, &destroy.lease, Ended::Destroyed, at(5)).await.unwrap();
    store.count_crash(tenant_id(2), HELD).await.unwrap();
    assert_eq!(store.standings().await.unwrap().len(), 1);
    let loops: Vec<(i64,)> = store.database.all("SELECT COUNT(*) FROM crash_loops", Vec::new()).await.unwrap();
    assert_eq!(loops, [(0,)]);
}

#[tokio::test]
async fn a_duty_is_one_servers_until_it_lets_go() {
    let fixture = Fixture::new().await;
    let (one, other) = (fixture.store.clone(), fixture.again().await);
    assert!(one.take_duty("reconcile", "one", HELD).await.unwrap());
    assert!(!other.take_duty("reconcile", "other", HELD).await.unwrap());
    assert!(other.take_duty("prune", "other", HELD).await.unwrap(), "another duty");
    assert!(one.take_duty("reconcile", "one", HELD).await.unwrap(), "kept");
    assert!(!other.take_duty("reconcile", "other", HELD).await.unwrap());
    // The one that has it is not heard of any more.
    assert!(one.take_duty("reconcile", "one", Duration::ZERO).await.unwrap());
    assert!(other.take_duty("reconcile", "other", HELD).await.unwrap());
    assert!(!one.take_duty("reconcile", "one", HELD).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_servers_that_want_a_duty_at_once_one_gets_it() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let mut servers = JoinSet::new();
    for n in 0..20 {
        let store = store.clone();
        servers.spawn(async move { store.take_duty("reconcile", &format!("server-{n}"), HELD).await.unwrap() });
    }
    assert_eq!(servers.join_all().await.into_iter().filter(|taken| *taken).count(), 1);
}

/// An operation that ended at a moment, with two events.
async fn ended(store: &Store, n: u128, name: &str, how: Ended, when: i64) -> EnvId {
    let claimed = spawned_and_claimed(store, n, name, HELD).await;
    tell(store, &claimed.lease, "image", EventKind::Started, "", at(when)).await.unwrap();
    tell(store, &claimed.lease, "image", EventKind::Done, "", at(when)).await.unwrap();
    end(store, &claimed.lease, how, at(when)).await.unwrap();
    claimed.operation.env_id().unwrap()
}

#[tokio::test]
async fn histories_end_but_not_those_that_somebody_has_to_look_at() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let key = || Some(Idempotency { key: "key".to_owned(), request: b"request".to_vec() });
    let with_key = NewSpawn {
        operation: NewOperation { idempotency: key(), ..new_spawn(1, "keyed").operation },
        ..new_spawn(1, "keyed")
    };
    store.begin_spawn(&own(), &with_key).await.unwrap();
    let lease = claim(&store, "worker", HELD, at(1)).await.unwrap().unwrap().lease;
    end(&store, &lease, Ended::Spawned, at(10)).await.unwrap();
    ended(&store, 2, "undone", Ended::Undone, 11).await;
    ended(&store, 3, "stuck", Ended::Stuck, 12).await;
    ended(&store, 4, "recent", Ended::Spawned, 100).await;
    let running = spawned_and_claimed(&store, 5, "running", HELD).await;
    tell(&store, &running.lease, "image", EventKind::Started, "", at(13)).await.unwrap();
    store.begin_spawn(&own(), &new_spawn(6, "queued")).await.unwrap();

    assert_eq!(store.prune(at(10)).await.unwrap(), 0, "what ended at that moment stays");
    assert_eq!(store.prune(at(100)).await.unwrap(), 2);
    assert_eq!(store.prune(at(100)).await.unwrap(), 0);
    for (n, kept) in [(1, false), (2, false), (3, true), (4, true), (5, true), (6, true)] {
        assert_eq!(store.operation(&own(), operation_id(n)).await.unwrap().is_some(), kept, "{n}");
    }
    let told: Vec<(i64,)> = store.database.all("SELECT COUNT(*) FROM operation_events", Vec::new()).await.unwrap();
    assert_eq!(told, [(5,)], "two each of the stuck one and the recent one, one of the running one");
    assert_eq!(store.usage(&own(), ORG).await.unwrap().tenants, 5, "tenants outlive their histories");
    assert_eq!(store.begun_with(&own(), ORG, &key().unwrap()).await.unwrap(), None, "keys end with them");
}

#[tokio::test]
async fn a_long_history_ends_a_bit_at_a_time() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let sql = "INSERT INTO operations (id, org, subject, kind, state, actor, deadline, patience, created_at, updated_at) \
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1201) \
         SELECT 'operation-' || n, 1, 'tenant/' || n, 'spawn', 'succeeded', 'tester', 0, 0, 0, n FROM numbers";
    assert_eq!(tamper(&store, sql).await.unwrap(), 1201);
    assert_eq!(store.prune(at(0)).await.unwrap(), 1201);
}
