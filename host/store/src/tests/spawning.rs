//! Names, ports and networks under competition and at their ends.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::*;
use crate::{Conflict, StoreError};

pub(super) async fn all_at_once(
    store: &Store,
    spawns: impl Iterator<Item = NewSpawn>,
) -> Vec<crate::Result<crate::Spawned>> {
    let mut callers = JoinSet::new();
    for spawn in spawns {
        let store = store.clone();
        callers.spawn(async move { store.begin_spawn(&own(), &spawn).await });
    }
    callers.join_all().await
}

pub(super) async fn refusal(store: &Store, spawn: NewSpawn) -> Conflict {
    match store.begin_spawn(&own(), &spawn).await {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_callers_who_want_one_name_one_gets_it() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let outcomes = all_at_once(&store, (0..64).map(|n| new_spawn(n, "wanted"))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StoreError::Conflict(Conflict::NameTaken { .. })), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_callers_get_the_hundred_lowest_ports_and_networks() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let outcomes = all_at_once(&store, (0..100).map(|n| new_spawn(n, &format!("app-{n}")))).await;
    let bindings: Vec<_> = outcomes.into_iter().map(|outcome| outcome.unwrap().binding).collect();
    let ports: BTreeSet<u16> = bindings.iter().map(|binding| binding.port).collect();
    assert_eq!(ports, (3001..=3100).collect());
    assert_eq!(bindings.iter().map(|binding| binding.subnet).collect::<BTreeSet<_>>().len(), 100);
}

#[tokio::test]
async fn a_quota_counts_what_exists() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let outcomes = all_at_once(&store, (0..10).map(|n| NewSpawn { quota: Some(3), ..new_spawn(n, &format!("a{n}")) }));
    assert_eq!(outcomes.await.iter().filter(|outcome| outcome.is_ok()).count(), 3);
}

#[tokio::test]
async fn what_does_not_fit_leaves_nothing_behind() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let narrow = |n: u128, name: &str| NewSpawn { ports: 3001..=3002, ..new_spawn(n, name) };
    let skipping = NewSpawn { skip_ports: BTreeSet::from([3001]), ..narrow(1, "a") };
    assert_eq!(store.begin_spawn(&own(), &skipping).await.unwrap().binding.port, 3002);
    let both = NewSpawn { skip_ports: BTreeSet::from([3001]), ..narrow(2, "b") };
    assert_eq!(refusal(&store, both).await, Conflict::PortsExhausted { first: 3001, last: 3002 });

    // The second network went to the tenant with the second port.
    let small = SubnetPool { first: std::net::Ipv4Addr::new(10, 213, 0, 16), count: 1 };
    let none = NewSpawn { subnets: small, ..new_spawn(2, "b") };
    assert_eq!(refusal(&store, none).await, Conflict::SubnetsExhausted { count: 1 });

    let nobody = NewSpawn { org: OrgId(7), ..new_spawn(2, "b") };
    assert_eq!(refusal(&store, nobody.clone()).await, Conflict::NoOrganization(OrgId(7)));
    let error = store.begin_spawn(&Scope::platform(), &nobody).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(Conflict::NoOrganization(OrgId(7)))), "foreign and absent alike");

    assert_eq!(store.usage(&own(), ORG).await.unwrap().tenants, 1);
    assert_eq!(store.unfinished().await.unwrap(), 1);
    let kept: Vec<(i64,)> = store.database.all("SELECT MAX(seq) FROM audit", Vec::new()).await.unwrap();
    assert_eq!(kept, [(1,)]);
    assert_eq!(store.begin_spawn(&own(), &narrow(2, "b")).await.unwrap().binding.port, 3001);
}

#[tokio::test]
async fn what_a_destroyed_tenant_had_is_free_and_its_public_id_is_not() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let one = spawned_and_claimed(&store, 1, "app", HELD).await;
    end(&store, &one.lease, Ended::Undone, at(2)).await.unwrap();
    let again = NewSpawn { key: new_spawn(1, "app").key, ..new_spawn(2, "app") };
    let again = store.begin_spawn(&own(), &again).await.unwrap();
    assert_eq!((again.binding.port, again.binding.subnet.to_string().as_str()), (3001, "10.213.0.0/28"));
    assert!(again.tenant.env_id > one.operation.env_id().unwrap());
}

#[tokio::test]
async fn a_port_comes_back_after_its_quarantine() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    let (none, two) = (BTreeSet::new(), 3001..=3002);
    assert_eq!(store.move_port(&lease, at(50), two.clone(), &none, at(10)).await.unwrap(), 3002);
    let error = store.move_port(&lease, at(99), two.clone(), &none, at(49)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(Conflict::PortsExhausted { .. })), "{error}");
    assert_eq!(store.move_port(&lease, at(99), two, &none, at(50)).await.unwrap(), 3001);
}

#[tokio::test]
async fn a_network_that_something_outside_uses_is_left_alone_for_a_while() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let lease = spawned_and_claimed(&store, 1, "app", HELD).await.lease;
    let two = SubnetPool { count: 2, ..new_spawn(1, "app").subnets };
    assert_eq!(store.move_subnet(&lease, at(50), two, at(10)).await.unwrap().to_string(), "10.213.0.16/28");
    let error = store.move_subnet(&lease, at(99), two, at(49)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(Conflict::SubnetsExhausted { .. })), "{error}");
    assert_eq!(store.move_subnet(&lease, at(99), two, at(50)).await.unwrap().to_string(), "10.213.0.0/28");
}

#[tokio::test]
async fn a_database_belongs_to_the_installation_that_came_first() {
    let Fixture { store, database: _database } = Fixture::new().await;
    assert_eq!(store.adopt_installation("one", "key").await.unwrap(), None);
    assert_eq!(store.adopt_installation("one", "key").await.unwrap(), None);
    assert_eq!(store.adopt_installation("two", "key").await.unwrap().as_deref(), Some("one"));
    assert_eq!(store.adopt_installation("one", "lost").await.unwrap().as_deref(), Some("one"));
}
