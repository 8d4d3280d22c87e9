//! A worker that lost its lease changes nothing.

use std::collections::BTreeSet;

use convergence_model::RevisionNumber;
use convergence_model::operation::EventKind;

use super::*;
use crate::{Lease, Result, StoreError};

/// Everything a worker may write, each with `lease`.
pub(super) async fn every_write(store: &Store, lease: &Lease) -> Vec<(&'static str, Result<()>)> {
    let one = RevisionNumber(1);
    vec![
        ("record_events", tell(store, lease, "image", EventKind::Done, "", at(9)).await),
        ("advance", store.advance(lease, 1, &[], at(9)).await),
        ("step_back", store.step_back(lease, 1, "image", at(9)).await),
        ("turn_back", store.turn_back(lease, &failure(), at(9)).await),
        (
            "put_back",
            store
                .put_back(lease, HELD, None, NewEvent { step: "image", event: EventKind::Waiting, detail: "" }, at(9))
                .await,
        ),
        ("revision_building", store.revision_building(lease, one, "late", at(0)).await),
        ("revision_built", store.revision_built(lease, one, &built("late")).await),
        ("move_subnet", store.move_subnet(lease, at(99), new_spawn(1, "app").subnets, at(9)).await.map(drop)),
        ("move_port", store.move_port(lease, at(99), 3001..=3200, &BTreeSet::new(), at(9)).await.map(drop)),
        ("end, spawned", end(store, lease, Ended::Spawned, at(9)).await),
        ("end, destroyed", end(store, lease, Ended::Destroyed, at(9)).await),
        ("end, undone", end(store, lease, Ended::Undone, at(9)).await),
        ("end, stuck", end(store, lease, Ended::Stuck, at(9)).await),
    ]
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let early = spawned_and_claimed(&store, 1, "app", OVER).await;
    let late = claim(&store, "second", HELD, at(2)).await.unwrap().expect("the first lease has run out");
    assert_eq!((early.lease.epoch, late.lease.epoch), (1, 2));
    assert_eq!(renew(&store, &early.lease).await, None);

    let env_id = early.operation.env_id().unwrap();
    let before = (
        store.tenant(&own(), env_id).await.unwrap(),
        store.binding(&own(), tenant_id(1)).await.unwrap(),
        store.current_revision(&own(), tenant_id(1)).await.unwrap(),
        store.latest_operation(&own(), env_id).await.unwrap(),
    );
    for (write, outcome) in every_write(&store, &early.lease).await {
        let Err(StoreError::LeaseLost { operation, epoch }) = outcome else { panic!("{write}: {outcome:?}") };
        assert_eq!((operation, epoch), (operation_id(1), 1), "{write}");
    }
    let after = (
        store.tenant(&own(), env_id).await.unwrap(),
        store.binding(&own(), tenant_id(1)).await.unwrap(),
        store.current_revision(&own(), tenant_id(1)).await.unwrap(),
        store.latest_operation(&own(), env_id).await.unwrap(),
    );
    assert_eq!(before, after);
    assert_eq!(store.events(&own(), operation_id(1), 0, 10).await.unwrap(), []);
    end(&store, &late.lease, Ended::Spawned, at(10)).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_is_still_good_until_somebody_takes_it() {
    let Fixture { store, database: _database } = Fixture::new().await;
    let claimed = spawned_and_claimed(&store, 1, "app", OVER).await;
    assert_eq!(renew(&store, &claimed.lease).await, Some(false));
    assert_eq!(claim(&store, "second", HELD, at(2)).await.unwrap(), None);
    assert_eq!(claim_one(&store, operation_id(1), "second", HELD, at(2)).await.unwrap(), None);
    end(&store, &claimed.lease, Ended::Spawned, at(3)).await.unwrap();
    assert_eq!(claim_one(&store, operation_id(1), "second", HELD, at(4)).await.unwrap(), None);
}

#[tokio::test]
async fn the_oldest_operation_is_claimed_first() {
    let Fixture { store, database: _database } = Fixture::new().await;
    store.begin_spawn(&own(), &at_time(new_spawn(1, "younger"), at(5))).await.unwrap();
    store.begin_spawn(&own(), &at_time(new_spawn(2, "older"), at(4))).await.unwrap();
    let first = claim(&store, "worker", HELD, at(6)).await.unwrap().unwrap();
    assert_eq!(first.operation.id, operation_id(2));
}
