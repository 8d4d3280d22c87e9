//! Opens a database of the version before `migrations/*/0004` and finishes every operation in it.
//!
//! The dumps in `tests/fixtures/before-0004` were made by that version; the README there says how, and what each operation
//! is. Both are the same but for times, so that one table describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convergence_access::KeyRing;
use convergence_access::development::HOME;
use convergence_model::operation::OperationState::{self, Cancelled, Failed, Queued, Running, Stuck, Succeeded};
use convergence_model::operation::{EventKind, Operation, OperationEvent};
use convergence_model::tenant::TenantStatus;
use convergence_model::workload::{Boundary, Subnet, Workload, label};
use convergence_model::{EnvId, OperationId, Scope, TenantId};
use convergence_provision::AcceptError;
use convergence_runtime::{Builder, Desired, OwnedItem, Runtime};
use convergence_store::{Conflict, Idempotency, OperationQuery, StoreError, TenantQuery};
use convergence_test_database::Fresh;

use crate::bench::{Bench, INSTANCE, Site, spec};
use crate::table::name;

const SQLITE: &str = include_str!("../fixtures/before-0004/sqlite.sql");
const POSTGRES: &str = include_str!("../fixtures/before-0004/postgres.sql");

/// Longer than going on takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An operation of the dump.
struct Row {
    /// The last four digits of its id.
    id: &'static str,
    kind: &'static str,
    env_id: i64,
    before: OperationState,
    after: OperationState,
}

const fn row(id: &'static str, kind: &'static str, env_id: i64, before: OperationState, after: OperationState) -> Row {
    Row { id, kind, env_id, before, after }
}

/// Every operation of the dump, oldest first.
const OPERATIONS: [Row; 37] = [
    row("0102", "spawn", 1, Succeeded, Succeeded),
    row("0104", "spawn", 2, Succeeded, Succeeded),
    row("0105", "destroy", 2, Succeeded, Succeeded),
    row("0107", "spawn", 3, Failed, Failed),
    row("0109", "spawn", 4, Cancelled, Cancelled),
    row("010b", "spawn", 5, Stuck, Stuck),
    // Stuck on its way back, and retried.
    row("010d", "spawn", 6, Queued, Failed),
    row("010f", "spawn", 7, Succeeded, Succeeded),
    row("0301", "repair", 7, Succeeded, Succeeded),
    row("0302", "repair", 7, Succeeded, Succeeded),
    row("0303", "halt", 7, Succeeded, Succeeded),
    row("0111", "spawn", 8, Succeeded, Succeeded),
    row("0113", "spawn", 9, Succeeded, Succeeded),
    row("0115", "spawn", 10, Succeeded, Succeeded),
    row("0116", "repair", 10, Failed, Failed),
    row("0118", "spawn", 11, Succeeded, Succeeded),
    row("011a", "spawn", 12, Succeeded, Succeeded),
    row("011b", "destroy", 12, Stuck, Stuck),
    row("011d", "spawn", 13, Succeeded, Succeeded),
    // Of a server with another name.
    row("011f", "spawn", 14, Running, Succeeded),
    // Two servers died over it.
    row("0120", "destroy", 9, Running, Succeeded),
    row("0122", "spawn", 15, Running, Succeeded),
    // On its way back.
    row("0124", "spawn", 16, Running, Failed),
    row("0125", "repair", 13, Running, Succeeded),
    // Put back twice.
    row("0127", "spawn", 17, Queued, Succeeded),
    // Somebody asked to cancel it.
    row("0129", "spawn", 18, Running, Cancelled),
    row("012b", "spawn", 19, Queued, Succeeded),
    // Somebody asked to cancel it.
    row("012d", "spawn", 20, Queued, Cancelled),
    // A destroy made it unnecessary: the next one.
    row("012e", "repair", 8, Cancelled, Cancelled),
    row("012f", "destroy", 8, Queued, Succeeded),
    row("0130", "repair", 10, Queued, Succeeded),
    row("0701", "halt", 11, Queued, Succeeded),
    // Of an image, which belongs to no tenant.
    row("0702", "sweep", 0, Queued, Succeeded),
    // Of a tenant that was destroyed.
    row("0703", "sweep", 2, Queued, Succeeded),
    // Of the number that a tenant got afterwards: the last one.
    row("0704", "sweep", 21, Queued, Succeeded),
    // Of a tenant that this database never had.
    row("0705", "sweep", 1_000_000, Queued, Succeeded),
    row("0132", "spawn", 21, Queued, Succeeded),
];

/// Every tenant that is there when all of them went on.
const TENANTS: [(i64, TenantStatus); 12] = [
    (1, TenantStatus::Running),
    (5, TenantStatus::Failed),
    (7, TenantStatus::Failed),
    (10, TenantStatus::Running),
    (11, TenantStatus::Failed),
    (12, TenantStatus::Failed),
    (13, TenantStatus::Running),
    (14, TenantStatus::Running),
    (15, TenantStatus::Running),
    (17, TenantStatus::Running),
    (19, TenantStatus::Running),
    (21, TenantStatus::Running),
];

/// What the engine had when the dump was made: what runs, what does not, and networks without a container.
const RUNNING: [i64; 4] = [1, 8, 10, 14];
const NOT_RUNNING: [i64; 7] = [2, 7, 11, 13, 15, 21, 1_000_000];
const NETWORKS: [i64; 6] = [5, 6, 9, 12, 16, 18];
/// What the store cannot prove to have let go, and so stays for an operator: a number it never had, and an image of which the
/// version before kept no record.
const UNPROVEN: [i64; 1] = [1_000_000];
const IMAGE: &str = "t-image:left-behind";

/// What the engine has when the new version begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// What it had.
    AsItWas,
    /// Nothing: the machine is another one.
    Empty,
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_the_version_before_go_on_on_sqlite() {
    Box::pin(upgrade(sqlite().await, Engine::AsItWas)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_the_version_before_go_on_on_postgres() {
    Box::pin(upgrade(postgres().await, Engine::AsItWas)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_the_version_before_go_on_on_sqlite_with_an_empty_engine() {
    Box::pin(upgrade(sqlite().await, Engine::Empty)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_the_version_before_go_on_on_postgres_with_an_empty_engine() {
    Box::pin(upgrade(postgres().await, Engine::Empty)).await;
}

async fn sqlite() -> Fresh {
    let database = Fresh::sqlite();
    database.load(SQLITE).await;
    database
}

async fn postgres() -> Fresh {
    let database = Fresh::postgres().await;
    database.load(POSTGRES).await;
    database
}

#[test]
fn the_dumps_are_of_the_version_before() {
    for dump in [SQLITE, POSTGRES] {
        assert!(dump.contains("'0003_operations'") && !dump.contains("'0004"), "the newest migration is the third");
    }
}

async fn upgrade(database: Fresh, engine: Engine) {
    let site = Box::pin(Site::on(database)).await;
    let before = operations(&site).await;
    for row in &OPERATIONS {
        let (operation, _) = &before[row.id];
        assert_eq!((kind(operation), env_id(operation)), (row.kind, row.env_id), "{operation:?}");
        assert_eq!(operation.state, row.before, "{operation:?}");
    }
    assert_eq!(before.len(), OPERATIONS.len());
    if engine == Engine::AsItWas {
        Box::pin(place_what_was_there(&site)).await;
    }

    let life = site.live();
    finished(&site).await;
    life.kill().await;

    let after = operations(&site).await;
    assert_eq!(after.len(), OPERATIONS.len(), "nothing is lost, and nothing is begun by itself");
    for row in &OPERATIONS {
        let ((old, told), (new, tells)) = (&before[row.id], &after[row.id]);
        assert_eq!((kind(new), env_id(new), new.state), (row.kind, row.env_id, row.after), "{new:?}: {tells:#?}");
        check_history(told, tells);
        if old.state.is_final() {
            assert_eq!((new, tells), (old, told), "what is over stays as it is");
        }
        if row.after == Failed {
            assert_eq!(new.failure, old.failure, "it is undone for the reason it was turned back for");
            assert!(new.failure.is_some());
        }
    }
    let seen = |id: &str, event| after[id].1.iter().any(|seen| seen.event == event);
    assert!(seen("0124", EventKind::Undone) && seen("010d", EventKind::Undone));
    assert!(
        !after["012d"].1.iter().any(|event| event.event == EventKind::Done),
        "no step of an operation that was cancelled in the queue is done"
    );
    check_tenants(&site).await;
    check_engine(&site, engine).await;
    Box::pin(ask_for_more(site, engine)).await;
}

/// Waits until nothing is queued or running.
async fn finished(site: &Site) {
    let asked = Instant::now();
    while site.store.unfinished().await.unwrap() > 0 {
        if asked.elapsed() > PATIENCE {
            let all = operations(site).await;
            let open: Vec<_> = all.values().filter(|(operation, _)| !operation.state.is_final()).collect();
            panic!("these do not end: {open:#?}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every operation with its history, by the last digits of its id.
async fn operations(site: &Site) -> BTreeMap<String, (Operation, Vec<OperationEvent>)> {
    let query = OperationQuery { subject: None, state: None, before: None, limit: 1000 };
    let mut all = BTreeMap::new();
    for operation in site.store.operations(&Scope::platform(), query).await.unwrap() {
        let id = operation.id.to_string();
        let events = site.store.events(&Scope::platform(), operation.id, 0, 1000).await.unwrap();
        all.insert(id[id.len() - 4..].to_owned(), (operation, events));
    }
    all
}

fn kind(operation: &Operation) -> &str {
    &operation.kind
}

/// The number it is about: 0 where there is none.
fn env_id(operation: &Operation) -> i64 {
    operation.env_id().map_or(0, |env_id| env_id.0)
}

/// The old events are still there, and the numbers have no gap.
fn check_history(before: &[OperationEvent], after: &[OperationEvent]) {
    assert_eq!(&after[..before.len()], before);
    let numbers: Vec<i64> = after.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=after.len() as i64).collect::<Vec<_>>());
}

async fn check_tenants(site: &Site) {
    let query = TenantQuery { org: None, after: None, limit: 1000 };
    let tenants = site.store.tenants(&Scope::platform(), query).await.unwrap();
    let found: Vec<_> = tenants.iter().map(|(tenant, _)| (tenant.env_id.0, tenant.status)).collect();
    assert_eq!(found, TENANTS);
    for (tenant, _) in &tenants {
        let code = tenant.failure.as_ref().map(|failure| failure.code.as_str());
        let wanted = match tenant.env_id.0 {
            5 | 12 => Some("engine-error"),
            7 | 11 => Some("app-exited"),
            _ => None,
        };
        assert_eq!(code, wanted, "a tenant that failed says why, also one that failed before: {tenant:?}");
        if tenant.env_id == EnvId(11) {
            let log = tenant.failure.as_ref().map(|failure| failure.log.as_slice()).unwrap_or_default();
            assert_eq!(log, ["1 out of memory", "2 out of memory", "3 out of memory"]);
        }
    }
    for (tenant, binding) in &tenants {
        let published = site.runtime.workload(&name(tenant.env_id)).and_then(|workload| workload.published);
        let published = published.map(|published| published.port);
        assert!(published.is_none_or(|port| port == binding.port), "{tenant:?} {binding:?} {published:?}");
    }
}

async fn check_engine(site: &Site, engine: Engine) {
    let owned = site.runtime.owned(INSTANCE).await.unwrap();
    let (went_on, were_there) = (of(&[10, 13, 14, 15, 17, 19, 21]), of(&[1, 7, 11]));
    let (containers, networks) = match engine {
        // What is stuck keeps its network for an operator to look at.
        Engine::AsItWas => {
            let containers = &(&went_on | &were_there) | &unproven(engine);
            (containers.clone(), &containers | &of(&[5, 12]))
        }
        Engine::Empty => (went_on.clone(), went_on),
    };
    assert_eq!(names(&owned.workloads), containers);
    assert_eq!(names(&owned.boundaries), networks);
    let images = site.runtime.owned_images(INSTANCE).await.unwrap();
    assert_eq!(names(&images).contains(IMAGE), engine == Engine::AsItWas, "{images:?}");
}

fn names(items: &[OwnedItem]) -> BTreeSet<String> {
    items.iter().map(|item| item.name.clone()).collect()
}

fn of(numbers: &[i64]) -> BTreeSet<String> {
    numbers.iter().map(|number| name(EnvId(*number))).collect()
}

fn unproven(engine: Engine) -> BTreeSet<String> {
    if engine == Engine::AsItWas { of(&UNPROVEN) } else { BTreeSet::new() }
}

/// What can be asked about what the version before left.
async fn ask_for_more(site: Site, engine: Engine) {
    let bench = Bench::of(site);
    let (scope, caller) = (Scope::platform(), bench.site.caller.clone());
    let ask = async |key: &str, name: &str| {
        let key = Idempotency { key: key.to_owned(), request: name.as_bytes().to_vec() };
        bench.provisioner.spawn(&scope, &caller, HOME, spec(name), Some(key)).await
    };
    // Requests that were sent to the version before are sent again.
    for (key, name, id) in [("finished", "runs", "0102"), ("queued", "queued", "012b"), ("gone", "gone", "0104")] {
        let again = ask(key, name).await.unwrap();
        assert!(again.replayed && again.operation.id.to_string().ends_with(id), "{key}: {again:?}");
        let made = again.made.unwrap();
        assert_eq!(made.name, name);
        if key == "gone" {
            // Its key is derived from a row that was deleted long ago.
            let tenant = TenantId("019b76dc-3a58-7000-8000-000000000103".parse().unwrap());
            let told = bench.provisioner.api_key(&again.operation, &made);
            assert_eq!(
                told.unwrap().expose(),
                KeyRing::new(&[7; 32]).tenant_key(tenant, made.key_version).secret.expose()
            );
        }
    }
    let reused = ask("queued", "something-else").await.unwrap_err();
    assert!(matches!(reused, AcceptError::Store(StoreError::Conflict(Conflict::KeyReused))), "{reused}");

    // A stuck tenant can be destroyed, a stuck operation retried, a halted tenant repaired.
    assert_eq!(bench.destroy(EnvId(5)).await.state, Succeeded);
    let stuck = OperationId("019b76dc-9818-7000-8000-00000000011b".parse().unwrap());
    bench.operations.retry(&scope, "tester", stuck).await.unwrap();
    assert_eq!(bench.operations.outcome(stuck, PATIENCE).await.unwrap().state, Succeeded);
    for halted in [7, 11] {
        let repair = bench.provisioner.repair(&scope, &caller, EnvId(halted)).await.unwrap();
        assert_eq!(bench.operations.outcome(repair.id, PATIENCE).await.unwrap().state, Succeeded);
    }
    // Names of tenants that are gone are free, and numbers are not used twice.
    let again = bench.spawn("failed").await;
    assert_eq!((again.state, env_id(&again)), (Succeeded, 22));
    for (tenant, _) in bench.tenants().await {
        assert_eq!(tenant.status, TenantStatus::Running, "{tenant:?}");
        assert_eq!(bench.destroy(tenant.env_id).await.state, Succeeded);
    }
    let left = bench.runtime.owned(INSTANCE).await.unwrap();
    if engine == Engine::Empty {
        assert!(left.is_empty(), "{left:?}");
    }
    // The image of the tenants stays with the container that nothing proves to be let go.
    assert_eq!((names(&left.workloads), names(&left.boundaries)), (unproven(engine), unproven(engine)));
}

/// Puts into the engine what the version before left there.
async fn place_what_was_there(site: &Site) {
    let model = Box::pin(a_workload()).await;
    let engine: &Arc<_> = &site.runtime;
    let query = TenantQuery { org: None, after: None, limit: 1000 };
    let tenants = site.store.tenants(&Scope::platform(), query).await.unwrap();
    let bindings: BTreeMap<i64, _> = tenants.iter().map(|(tenant, binding)| (tenant.env_id.0, binding)).collect();
    let tags = site.store.image_tags().await.unwrap();
    let [tag] = tags.as_slice() else { panic!("all of them have one image: {tags:?}") };
    for tag in [tag, IMAGE] {
        let mut build = model.build.clone();
        build.tag = tag.to_owned();
        engine.build(&build, &mut |_| {}).await.unwrap();
    }
    let placed = RUNNING.iter().chain(&NOT_RUNNING).chain(&NETWORKS);
    for (index, number) in (0..).zip(placed) {
        let mut workload = model.workload.clone();
        workload.name = name(EnvId(*number));
        workload.labels.insert(label::TENANT.to_owned(), number.to_string());
        tag.clone_into(&mut workload.image);
        // Strays have a network and a port outside the tenants' ranges. The number 21 got its tenant only afterwards.
        let binding = bindings.get(number).filter(|_| *number != 21);
        let elsewhere = Subnet::containing(Ipv4Addr::new(10, 8, index, 0));
        let subnet = binding.map_or(elsewhere, |binding| binding.subnet);
        workload.published.as_mut().unwrap().port = binding.map_or(3900 + u16::from(index), |binding| binding.port);
        workload.boundary = Boundary { name: workload.name.clone(), addresses: Some(subnet) };
        engine.ensure_boundary(&workload.boundary, &workload.labels).await.unwrap();
        if NETWORKS.contains(number) {
            continue;
        }
        let desired = if RUNNING.contains(number) { Desired::ONE } else { Desired::Stopped };
        let _ = engine.ensure(&workload, desired).await.unwrap();
    }
    engine.forget_journal();
}

/// What a tenant of this version is in the engine.
struct Model {
    workload: Workload,
    build: convergence_model::build::ImageBuild,
}

async fn a_workload() -> Model {
    let bench = Bench::of(Site::on(Fresh::sqlite()).await);
    assert_eq!(bench.spawn("model").await.state, Succeeded);
    let workload = bench.runtime.workload("t-1").unwrap();
    let build = bench.runtime.built(&workload.image).unwrap();
    Model { workload, build }
}
