//! One life of a few tenants, on the engine that this run is about.

use std::collections::BTreeSet;

use convergence_model::operation::{EventKind, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{EnvId, RevisionNumber, Scope};
use tokio::task::JoinSet;

use super::*;
use crate::{Conflict, StoreError, TenantQuery};

const FIRST: RevisionNumber = RevisionNumber(1);

/// Everything an operator and a worker do, in order, on a database nobody used before.
async fn scenario(store: Store) {
    store.check().await.unwrap();
    let org = store.organization(&own(), ORG).await.unwrap().unwrap();
    assert_eq!((org.name.as_str(), org.plan.as_str()), ("default", "free"));

    spawn_and_run(&store).await;
    destroy(&store).await;
    fail(&store).await;
    compete(&store).await;
    super::plugins::inventory(&store).await;

    for sql in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM plugin_audit"] {
        let error = tamper(&store, sql).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    store.close().await;
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
}

async fn spawn_and_run(store: &Store) {
    let spawned = store.begin_spawn(&own(), &new_spawn(1, "shop")).await.unwrap();
    assert_eq!(spawned.tenant.env_id, EnvId(1), "public ids begin at 1");
    assert_eq!(spawned.tenant.status, TenantStatus::Provisioning);
    assert_eq!(spawned.binding.port, 3001);
    assert_eq!(spawned.binding.subnet.to_string(), "10.213.0.0/28");
    assert_eq!((spawned.operation.kind.as_str(), spawned.operation.state), ("spawn", OperationState::Queued));
    assert_eq!(store.tenant(&own(), EnvId(1)).await.unwrap().as_ref(), Some(&spawned.tenant));
    assert_eq!(store.binding(&own(), tenant_id(1)).await.unwrap().as_ref(), Some(&spawned.binding));
    assert_eq!(store.active_operation(&own(), EnvId(1)).await.unwrap().as_ref(), Some(&spawned.operation));
    assert_eq!(store.unfinished().await.unwrap(), 1);
    let usage = store.usage(&own(), ORG).await.unwrap();
    assert_eq!((usage.tenants, usage.cpu_millis, usage.memory_mb, usage.disk_mb), (1, 500, 512, 2048));

    let taken = store.begin_spawn(&own(), &new_spawn(2, "shop")).await.unwrap_err();
    assert!(matches!(taken, StoreError::Conflict(Conflict::NameTaken { .. })), "{taken}");
    let quota = NewSpawn { quota: Some(1), ..new_spawn(2, "other") };
    let over = store.begin_spawn(&own(), &quota).await.unwrap_err();
    assert!(matches!(over, StoreError::Conflict(Conflict::QuotaReached { limit: 1 })), "{over}");

    let Claimed { operation, lease, .. } = claim(store, "worker", HELD, at(1)).await.unwrap().unwrap();
    assert_eq!((operation.id, operation.state, lease.epoch), (operation_id(1), OperationState::Running, 1));
    assert_eq!(claim(store, "another", HELD, at(1)).await.unwrap(), None, "a lease that holds is left alone");
    assert_eq!(renew(store, &lease).await, Some(false));
    for (step, event, detail) in [
        ("image", EventKind::Started, ""),
        ("image", EventKind::Line, "[1/2] a line\0"),
        ("image", EventKind::Done, ""),
    ] {
        tell(store, &lease, step, event, detail, at(2)).await.unwrap();
    }
    let events = store.events(&own(), lease.operation, 1, 1).await.unwrap();
    assert_eq!((events.len(), events[0].seq, events[0].detail.as_str()), (1, 2, "[1/2] a line\u{fffd}"));
    assert_eq!(store.events(&own(), lease.operation, 0, 10).await.unwrap().len(), 3);

    store.revision_built(&lease, FIRST, &built("shop:1")).await.unwrap();
    store.revision_built(&lease, FIRST, &built("shop:1")).await.unwrap();
    let other = store.revision_built(&lease, FIRST, &built("shop:2")).await.unwrap_err();
    assert!(matches!(other, StoreError::Conflict(Conflict::AlreadyBuilt { .. })), "{other}");
    assert!(!store.image_in_use("shop:1", tenant_id(1)).await.unwrap(), "its own use does not count");
    assert!(store.image_in_use("shop:1", tenant_id(2)).await.unwrap());

    let port = store.move_port(&lease, at(900), 3001..=3200, &BTreeSet::from([3002]), at(3)).await.unwrap();
    assert_eq!(port, 3003, "the lowest that is neither taken nor skipped");
    assert_eq!(store.binding(&own(), tenant_id(1)).await.unwrap().unwrap().port, 3003);

    end(store, &lease, Ended::Spawned, at(4)).await.unwrap();
    let tenant = store.tenant(&own(), EnvId(1)).await.unwrap().unwrap();
    assert_eq!((tenant.status, tenant.current_revision), (TenantStatus::Running, Some(FIRST)));
    assert_eq!(tenant.updated_at, at(4));
    let revision = store.revision(&own(), tenant.id, FIRST).await.unwrap().unwrap();
    assert_eq!((&revision.plan, revision.built.as_ref()), (&plan(), Some(&built("shop:1"))));
    assert_eq!(store.current_revision(&own(), tenant.id).await.unwrap(), Some(revision));
    let done = store.latest_operation(&own(), EnvId(1)).await.unwrap().unwrap();
    assert_eq!((done.state, done.updated_at), (OperationState::Succeeded, at(4)));
    assert!(matches!(end(store, &lease, Ended::Spawned, at(5)).await, Err(StoreError::LeaseLost { .. })));
    assert!(renew(store, &lease).await.is_none(), "a finished operation needs nobody");

    let owner = store.key_by_lookup("lookup-1").await.unwrap().unwrap();
    assert_eq!((owner.env_id, owner.org, owner.key), (EnvId(1), ORG, new_spawn(1, "shop").key));
    for unknown in ["lookup-2", "", "lookup-1\0", "' OR '1' = '1"] {
        assert_eq!(store.key_by_lookup(unknown).await.unwrap(), None, "{unknown:?}");
    }
}

async fn destroy(store: &Store) {
    let accepted = destroy_asked(store, &own(), EnvId(1), 10, at(10)).await.unwrap().unwrap();
    assert_eq!((accepted.kind.as_str(), accepted.state), ("destroy", OperationState::Queued));
    let again = destroy_asked(store, &own(), EnvId(1), 11, at(10)).await.unwrap_err();
    let StoreError::Conflict(Conflict::SubjectBusy { operation }) = again else { panic!("{again}") };
    assert_eq!(operation, accepted.id);
    let status = store.tenant(&own(), EnvId(1)).await.unwrap().unwrap().status;
    assert_eq!(status, TenantStatus::Destroying);
    assert!(!store.image_in_use("shop:1", tenant_id(2)).await.unwrap(), "one that goes needs no image");

    let lease = claim(store, "worker", HELD, at(11)).await.unwrap().unwrap().lease;
    end(store, &lease, Ended::Stuck, at(12)).await.unwrap();
    let stuck = store.operation(&own(), accepted.id).await.unwrap().unwrap();
    assert_eq!((stuck.state, stuck.failure), (OperationState::Stuck, Some(failure())));
    assert_eq!(store.tenant(&own(), EnvId(1)).await.unwrap().unwrap().status, TenantStatus::Failed);

    destroy_asked(store, &own(), EnvId(1), 12, at(13)).await.unwrap().unwrap();
    let lease = claim(store, "worker", HELD, at(14)).await.unwrap().unwrap().lease;
    end(store, &lease, Ended::Destroyed, at(15)).await.unwrap();
    assert_eq!(store.tenant(&own(), EnvId(1)).await.unwrap(), None);
    assert_eq!(store.binding(&own(), tenant_id(1)).await.unwrap(), None);
    assert_eq!(store.current_revision(&own(), tenant_id(1)).await.unwrap(), None);
    assert_eq!(store.key_by_lookup("lookup-1").await.unwrap(), None);
    assert_eq!(destroy_asked(store, &own(), EnvId(1), 13, at(16)).await.unwrap(), None);
    let done = store.operation(&own(), operation_id(12)).await.unwrap().unwrap();
    assert_eq!(
        (done.state, done.env_id().unwrap()),
        (OperationState::Succeeded, EnvId(1)),
        "history outlives the tenant"
    );
    assert_eq!(store.events(&own(), operation_id(1), 0, 10).await.unwrap().len(), 3);
}

async fn fail(store: &Store) {
    let claimed = spawned_and_claimed(store, 20, "shop", HELD).await;
    let env_id = claimed.operation.env_id().unwrap();
    assert!(env_id > EnvId(1), "a public id is never used twice");
    assert_eq!(store.binding(&own(), tenant_id(20)).await.unwrap().unwrap().port, 3002, "3001 is in quarantine");
    end(store, &claimed.lease, Ended::Undone, at(21)).await.unwrap();
    assert_eq!(store.tenant(&own(), env_id).await.unwrap(), None);
    let failed = store.latest_operation(&own(), env_id).await.unwrap().unwrap();
    assert_eq!((failed.state, failed.failure), (OperationState::Failed, Some(failure())));

    let claimed = spawned_and_claimed(store, 21, "shop", HELD).await;
    end(store, &claimed.lease, Ended::Stuck, at(22)).await.unwrap();
    let tenant = store.tenant(&own(), claimed.operation.env_id().unwrap()).await.unwrap().unwrap();
    assert_eq!(tenant.status, TenantStatus::Failed, "what could not be undone stays visible");
    destroy_asked(store, &own(), tenant.env_id, 22, at(23)).await.unwrap().unwrap();
    let lease = claim(store, "worker", HELD, at(24)).await.unwrap().unwrap().lease;
    end(store, &lease, Ended::Destroyed, at(25)).await.unwrap();
}

/// Twenty callers at once, half of them after the same name; then twenty workers at once.
async fn compete(store: &Store) {
    let mut callers = JoinSet::new();
    for n in 0..20u128 {
        let store = store.clone();
        let name = if n < 10 { "wanted".to_owned() } else { format!("own-{n}") };
        // By then the quarantine of 3001 is over.
        let spawn = at_time(new_spawn(100 + n, &name), at(1000));
        callers.spawn(async move { store.begin_spawn(&own(), &spawn).await });
    }
    let mut ports = BTreeSet::new();
    let mut refused = 0;
    for outcome in callers.join_all().await {
        match outcome {
            Ok(spawned) => assert!(ports.insert(spawned.binding.port), "a port was leased twice"),
            Err(StoreError::Conflict(Conflict::NameTaken { .. })) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((refused, ports), (9, (3001..=3011).collect()));
    let query = TenantQuery { org: Some(ORG), after: None, limit: 5 };
    let page = store.tenants(&Scope::platform(), query).await.unwrap();
    let rest = TenantQuery { after: page.last().map(|(tenant, _)| tenant.env_id), limit: 100, ..query };
    let rest = store.tenants(&own(), rest).await.unwrap();
    let ids: BTreeSet<EnvId> = page.iter().chain(&rest).map(|(tenant, _)| tenant.env_id).collect();
    assert_eq!((page.len(), rest.len(), ids.len()), (5, 6, 11));

    let mut workers = JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        workers.spawn(async move { claim(&store, "worker", HELD, at(1001)).await.unwrap() });
    }
    let mut claimed = BTreeSet::new();
    for Claimed { operation, lease, .. } in workers.join_all().await.into_iter().flatten() {
        assert!(claimed.insert(operation.id), "an operation was claimed twice");
        end(store, &lease, Ended::Spawned, at(1002)).await.unwrap();
    }
    assert_eq!(claimed.len(), 11);
    assert_eq!(store.unfinished().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_of_tenants() {
    let Fixture { store, database } = Fixture::new().await;
    let expected = if database.location().starts_with("postgres") { "postgres" } else { "sqlite" };
    assert_eq!(store.engine_name(), expected);
    scenario(store).await;
}
