//! A worker that lost its lease changes nothing.

use std::collections::BTreeSet;

use convergence_model::RevisionNumber;
use convergence_model::operation::EventKind;

use super::*;
use crate::{Lease, Result, StoreError};

/// Everything a worker may write, each with `lease`.
async fn every_write(store: &Store, lease: &Lease) -> Vec<(&'static str, Result<()>)> {
    let one = RevisionNumber(1);
    vec![
        ("record_event", store.record_event(lease, "image", EventKind::Done, "", at(9)).await.map(drop)),
        ("record_next_step", store.record_next_step(lease, "image", "network", at(9)).await),
        ("revision_building", store.revision_building(lease, one, "late").await),
        ("revision_built", store.revision_built(lease, one, &built("late")).await),
        ("move_subnet", store.move_subnet(lease, at(99), new_spawn(1, "app").subnets, at(9)).await.map(drop)),
        ("move_port", store.move_port(lease, at(99), 3001..=3200, &BTreeSet::new(), at(9)).await.map(drop)),
        ("finish_spawn", store.finish_spawn(lease, at(9)).await),
        ("finish_destroy", store.finish_destroy(lease, at(9)).await),
        ("fail_spawn", store.fail_spawn(lease, &failure(), true, at(9)).await),
        ("fail_spawn, not undone", store.fail_spawn(lease, &failure(), false, at(9)).await),
        ("fail_destroy", store.fail_destroy(lease, &failure(), at(9)).await),
    ]
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let early = spawned_and_claimed(&store, 1, "app", OVER).await;
    let late = store.claim("second", HELD, at(2)).await.unwrap().expect("the first lease has run out");
    assert_eq!((early.lease.epoch, late.lease.epoch), (1, 2));
    assert!(!store.renew(&early.lease, HELD).await.unwrap());

    let env_id = early.operation.env_id;
    let before = (
        store.tenant(&own(), env_id).await.unwrap(),
        store.binding(&own(), tenant_id(1)).await.unwrap(),
        store.latest_revision(&own(), tenant_id(1)).await.unwrap(),
        store.latest_operation(&own(), env_id).await.unwrap(),
    );
    for (write, outcome) in every_write(&store, &early.lease).await {
        let Err(StoreError::LeaseLost { operation, epoch }) = outcome else { panic!("{write}: {outcome:?}") };
        assert_eq!((operation, epoch), (operation_id(1), 1), "{write}");
    }
    let after = (
        store.tenant(&own(), env_id).await.unwrap(),
        store.binding(&own(), tenant_id(1)).await.unwrap(),
        store.latest_revision(&own(), tenant_id(1)).await.unwrap(),
        store.latest_operation(&own(), env_id).await.unwrap(),
    );
    assert_eq!(before, after);
    assert_eq!(store.events(&own(), operation_id(1), 0, 10).await.unwrap(), []);
    store.finish_spawn(&late.lease, at(10)).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_is_still_good_until_somebody_takes_it() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let claimed = spawned_and_claimed(&store, 1, "app", OVER).await;
    assert!(store.renew(&claimed.lease, HELD).await.unwrap());
    assert_eq!(store.claim("second", HELD, at(2)).await.unwrap(), None);
    assert_eq!(store.claim_one(operation_id(1), "second", HELD, at(2)).await.unwrap(), None);
    store.finish_spawn(&claimed.lease, at(3)).await.unwrap();
    assert_eq!(store.claim_one(operation_id(1), "second", HELD, at(4)).await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_operation_is_claimed_first() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    store.begin_spawn(&own(), &NewSpawn { now: at(5), ..new_spawn(1, "younger") }).await.unwrap();
    store.begin_spawn(&own(), &NewSpawn { now: at(4), ..new_spawn(2, "older") }).await.unwrap();
    let first = store.claim("worker", HELD, at(6)).await.unwrap().unwrap();
    assert_eq!(first.operation.id, operation_id(2));
}
