//! What the tests of this room share: a fresh database, and tenants to put into it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod damage;
mod leases;
mod let_go;
mod names;
mod ownership;
mod plugins;
mod queue;
mod registries;
mod requests;
mod scenario;
mod scopes;
mod spawning;
mod upkeep;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use convergence_model::operation::{EventKind, Failure, Lane, Operation, OperationState, Subject};
use convergence_model::plan::{Base, BuildPlan, Health, Probe, Service, Stage};
use convergence_model::tenant::{Built, PluginPin, TenantStatus};
use convergence_model::{
    Code, EnvId, Limits, OperationId, OrgId, Scope, ServiceSpec, Source, TenantId, TenantName, TenantSpec,
};
use convergence_test_database::Fresh;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    Claimed, Effect, Ending, Entry, KeyVerifier, LOCAL_NODE, Lease, NewEvent, NewOperation, NewRevision, NewSpawn,
    Store, SubnetPool, Wanted,
};

const ORG: OrgId = OrgId(1);
/// Long enough that no lease runs out while a test looks elsewhere.
const HELD: Duration = Duration::from_secs(3600);
/// A lease that has run out as soon as it is taken.
const OVER: Duration = Duration::ZERO;

fn own() -> Scope {
    Scope::granted(ORG)
}

fn foreign() -> Scope {
    Scope::granted(OrgId(2))
}

/// Second `n` of the tests' own time.
fn at(n: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + n).unwrap()
}

fn tenant_id(n: u128) -> TenantId {
    TenantId(Uuid::from_u128(0x7000_0000 + n))
}

fn operation_id(n: u128) -> OperationId {
    OperationId(Uuid::from_u128(0x9000_0000 + n))
}

fn plan() -> BuildPlan {
    let health = Health {
        probe: Probe::Http("/health".into()),
        in_container: None,
        interval_seconds: 10,
        timeout_seconds: 2,
        retries: 3,
        start_period_seconds: 5,
    };
    let service = Service {
        command: vec!["node".into(), "server.js".into()],
        release_command: None,
        port: 3000,
        health,
        env: Vec::new(),
        writable: Vec::new(),
        volumes: Vec::new(),
        stop_signal: None,
        stop_grace_seconds: 10,
        min_memory_mb: 64,
        extra: Vec::new(),
    };
    let stage = Stage { name: "run".into(), base: Base::Image("node:22".into()), steps: Vec::new() };
    BuildPlan { files: Vec::new(), stages: vec![stage], service, notes: Vec::new(), extra: Vec::new() }
}

fn built(tag: &str) -> Built {
    let (image_id, dockerfile) = ("sha256:1".into(), "FROM node:22\n".into());
    Built { tag: tag.into(), published: None, image_id, dockerfile, bases: Vec::new(), declared: None }
}

fn failure() -> Failure {
    Failure {
        step: "image".into(),
        code: Code::BuildFailed.into(),
        message: "npm said no".into(),
        likely_cause: "a package is missing".into(),
        next: "add it".into(),
        log: vec!["a line with a \0 in it".into()],
    }
}

/// A spawn with tenant and operation number `n`.
fn new_spawn(n: u128, name: &str) -> NewSpawn {
    let limits = Limits::DEFAULT;
    let spec = TenantSpec {
        name: TenantName::parse(name).unwrap(),
        language: "node".into(),
        source: Source::Starter,
        framework: None,
        description: Some("ünïcode 'and' \"quotes\"".into()),
        base_image: None,
        limits,
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        service: ServiceSpec::default(),
    };
    let pin = PluginPin { version: "1.0.0".into(), digest: "sha256:2".into() };
    NewSpawn {
        tenant: tenant_id(n),
        org: ORG,
        spec,
        revision: NewRevision {
            accepted_at: at(0),
            plan: plan(),
            plugins: BTreeMap::from([("node".into(), pin)]),
            limits,
            reason: String::new(),
            restores: None,
            built: None,
            container: None,
        },
        operation: asked(n, "spawn", at(0)),
        key: KeyVerifier { version: 1, lookup: format!("lookup-{n}"), verifier: vec![0, 159, 146, 150] },
        node: LOCAL_NODE.into(),
        ports: 3001..=3200,
        skip_ports: BTreeSet::new(),
        subnets: SubnetPool { first: Ipv4Addr::new(10, 213, 0, 0), count: 256 },
        quota: None,
        backlog_max: 1000,
    }
}

/// Somebody's request for an operation.
fn asked(n: u128, kind: &'static str, now: Timestamp) -> NewOperation {
    NewOperation {
        id: operation_id(n),
        kind,
        lane: Lane::Engine,
        exclusive: true,
        yields: matches!(kind, "repair" | "halt"),
        input: serde_json::json!({}),
        actor: "tester".into(),
        patience: HELD,
        idempotency: None,
        now,
    }
}

/// A spawn asked for at another time.
fn at_time(spawn: NewSpawn, now: Timestamp) -> NewSpawn {
    NewSpawn { operation: NewOperation { now, ..spawn.operation }, ..spawn }
}

/// Somebody asks for a destroy as operation `n`.
async fn destroy_asked(
    store: &Store,
    scope: &Scope,
    env_id: EnvId,
    n: u128,
    now: Timestamp,
) -> crate::Result<Option<Operation>> {
    let entry = Entry { to: Some(TenantStatus::Destroying), ..Entry::found(&[], "tenant.destroy") };
    store.begin(scope, env_id, &asked(n, "destroy", now), entry).await
}

/// How an operation of the tests ends.
#[derive(Clone, Copy)]
enum Ended {
    Spawned,
    Destroyed,
    Undone,
    Stuck,
}

async fn end(store: &Store, lease: &Lease, how: Ended, now: Timestamp) -> crate::Result<()> {
    let (state, effect, action) = match how {
        Ended::Spawned => (OperationState::Succeeded, Effect::TenantRuns, "tenant.spawned"),
        Ended::Destroyed => (OperationState::Succeeded, Effect::TenantGone, "tenant.destroyed"),
        Ended::Undone => (OperationState::Failed, Effect::TenantGone, "tenant.spawn-failed"),
        Ended::Stuck => (OperationState::Stuck, Effect::TenantFailed, "tenant.destroy-failed"),
    };
    let failure = (state != OperationState::Succeeded).then(failure);
    store.end(lease, &Ending { state, failure, result: None, effect, action }, now).await
}

async fn tell(
    store: &Store,
    lease: &Lease,
    step: &str,
    event: EventKind,
    detail: &str,
    now: Timestamp,
) -> crate::Result<()> {
    store.record_events(lease, &[NewEvent { step, event, detail }], now).await
}

/// A store on a database that lives as long as this.
struct Fixture {
    store: Store,
    database: Fresh,
}

impl Fixture {
    /// On the engine that this run is about.
    async fn new() -> Self {
        Self::on(Fresh::new().await).await
    }

    /// On an SQLite file, for what is about that.
    async fn sqlite() -> Self {
        Self::on(Fresh::sqlite()).await
    }

    async fn on(database: Fresh) -> Self {
        let store = Store::open(database.location()).await.unwrap();
        Self { store, database }
    }

    /// The same database on connections of its own, as another server has it, or the same one after a restart.
    async fn again(&self) -> Store {
        Store::open(self.database.location()).await.unwrap()
    }
}

/// Runs a statement past the store's own functions, as somebody with a database shell would.
async fn tamper(store: &Store, sql: &'static str) -> crate::Result<u64> {
    let mut tx = store.database.begin().await?;
    let rows = tx.execute(sql, Vec::new()).await?;
    tx.commit().await?;
    Ok(rows)
}

/// Spawns tenant number `n` and claims its operation.
async fn spawned_and_claimed(store: &Store, n: u128, name: &str, lease: Duration) -> Claimed {
    store.begin_spawn(&own(), &new_spawn(n, name)).await.unwrap();
    claim_one(store, operation_id(n), "worker", lease, at(1)).await.unwrap().unwrap()
}

/// The kinds that the tests' workers know.
fn known() -> BTreeMap<&'static str, u32> {
    ["spawn", "destroy", "repair", "halt", "sweep"].into_iter().map(|kind| (kind, 0)).chain([("loop", 2)]).collect()
}

/// Claims whatever is next in the lane of the engine.
async fn claim(store: &Store, worker: &str, lease: Duration, now: Timestamp) -> crate::Result<Option<Claimed>> {
    let (kinds, after) = (known(), OrgId(0));
    let wanted = Wanted { worker, lease, lane: Lane::Engine, kinds: &kinds, after, only: None };
    store.claim(wanted, now).await
}

/// Claims one operation.
async fn claim_one(
    store: &Store,
    id: OperationId,
    worker: &str,
    lease: Duration,
    now: Timestamp,
) -> crate::Result<Option<Claimed>> {
    let (kinds, after) = (known(), OrgId(0));
    let wanted = Wanted { worker, lease, lane: Lane::Engine, kinds: &kinds, after, only: Some(id) };
    store.claim(wanted, now).await
}

/// Renews a lease of the worker "worker": whether somebody asked to cancel the operation, or `None` where it is lost.
async fn renew(store: &Store, lease: &Lease) -> Option<bool> {
    let renewed = store.renew("worker", &[*lease], HELD).await.unwrap().pop()?;
    assert_eq!(renewed.lease, *lease);
    Some(renewed.cancel)
}
