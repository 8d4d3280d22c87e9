//! What the operation engine costs: over the same steps called directly, on each database, as history and tenants grow.
//!
//! The engine of containers is the fake one, which takes no time of its own, so what is measured is what this program adds: the
//! queue, leases, events and commits. The bare thing are the same calls of the same engine with nothing around them, and as
//! many bare commits as the operation makes. `CONVERGENCE_TEST_DATABASE_URL` adds PostgreSQL; `OPERATIONS_BENCH_N` is how many
//! operations are measured; arguments choose parts (`overhead`, `throughput`, `recovery`, `status`, `waiting`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![expect(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and its clock")]
#![allow(dead_code, reason = "it shares its site with the tests, which use more of it")]

#[path = "../../tests/provision/bench.rs"]
mod bench;
#[path = "../../tests/provision/rehearsal.rs"]
mod rehearsal;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use convergence_access::development::HOME;
use convergence_model::operation::{Lane, OperationState};
use convergence_model::plan::{Base, BuildPlan, Health, Probe, Service, Stage};
use convergence_model::tenant::PluginPin;
use convergence_model::{EnvId, Limits, OperationId, Scope, TenantId};
use convergence_runtime::{Builder, Desired, Owner, Pull, Runtime};
use convergence_store::{
    Claimed, Effect, Ending, KeyVerifier, LOCAL_NODE, NewOperation, NewRevision, NewSpawn, Store, SubnetPool, Wanted,
};
use convergence_test_database::Fresh;

use bench::{Bench, INSTANCE, Site, spec};

const PARTS: [&str; 5] = ["overhead", "throughput", "recovery", "status", "waiting"];
const HISTORY: [u64; 3] = [1, 100, 10_000];
const TENANTS: [u64; 3] = [10, 1_000, 10_000];
/// Turns of each size, and questions of a turn.
const STATUS_TURNS: u64 = 20;
const STATUS_QUESTIONS: u64 = 200;
const LEASE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted =
        |part: &str| !PARTS.iter().any(|p| arguments.iter().any(|a| a == p)) || arguments.iter().any(|a| a == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for engine in engines() {
            if wanted("overhead") {
                overhead(engine).await;
            }
            if wanted("throughput") {
                throughput(engine).await;
            }
            if wanted("recovery") {
                recovery(engine).await;
            }
            if wanted("status") {
                status(engine).await;
            }
            if wanted("waiting") {
                Box::pin(waiting::run(engine)).await;
            }
        }
    });
}

/// The databases this run is about.
fn engines() -> Vec<&'static str> {
    match std::env::var("CONVERGENCE_TEST_DATABASE_URL") {
        Ok(_) => vec!["sqlite", "postgres"],
        Err(_) => vec!["sqlite"],
    }
}

async fn fresh(engine: &str) -> Fresh {
    if engine == "postgres" { Fresh::postgres().await } else { Fresh::on_disk() }
}

fn count() -> u64 {
    std::env::var("OPERATIONS_BENCH_N").map_or(100, |text| text.parse().expect("OPERATIONS_BENCH_N is a number"))
}

/// One operation after the other, against its calls alone and against as many commits as it makes.
async fn overhead(engine: &str) {
    let bench = Bench::of(Site::on(fresh(engine).await).await);
    let (mut ours, mut direct, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count() {
        let begun = Instant::now();
        let operation = bench.spawn(&format!("app-{number}")).await;
        ours.push(begun.elapsed());
        assert_eq!(operation.state, OperationState::Succeeded);
        direct.push(steps_alone(&bench, operation.env_id().unwrap()).await);
        let begun = Instant::now();
        bench.store.take_duty("bench", "bench", LEASE).await.unwrap();
        commits.push(begun.elapsed());
        bench.destroy(operation.env_id().unwrap()).await;
    }
    let (ours, direct, commit) = (Percentiles::of(ours), Percentiles::of(direct), Percentiles::of(commits));
    // Acceptance, claim, image twice, six steps and their events, the end.
    let floor = commit.p50 * COMMITS + direct.p50;
    println!(
        "overhead on {engine}: a spawn p50 {} p99 {} | its calls alone p50 {} | one commit p50 {} | ratio to its calls and {COMMITS} commits p50 {:.2}",
        shown(ours.p50),
        shown(ours.p99),
        shown(direct.p50),
        shown(commit.p50),
        ours.p50.as_secs_f64() / floor.as_secs_f64(),
    );
}

/// Commits of a spawn: it is accepted, claimed, six steps begin, the image is written down before and after, some lines of
/// progress, the last step is done, it ends.
const COMMITS: u32 = 14;

/// The calls that the steps of a spawn make, with nothing around them.
async fn steps_alone(bench: &Bench, env_id: EnvId) -> Duration {
    let runtime = &bench.runtime;
    let workload = runtime.workload(&format!("t-{env_id}")).unwrap();
    let build = runtime.built(&workload.image).unwrap();
    let owner = Owner { instance: INSTANCE, tenant: env_id };
    let _ = runtime.remove(&workload.name, owner).await.unwrap();
    let _ = runtime.remove_boundary(&workload.boundary.name, owner).await.unwrap();
    let begun = Instant::now();
    runtime.base_image("golang:1.24-bookworm", &Pull::default(), &mut |_| {}).await.unwrap();
    runtime.image_id(&build.tag).await.unwrap();
    runtime.build(&build, &mut |_| {}).await.unwrap();
    runtime.publish(&build.tag).await.unwrap();
    runtime.ensure_boundary(&workload.boundary, &workload.labels).await.unwrap();
    runtime.verify(&workload).await.unwrap_err();
    let _ = runtime.ensure(&workload, Desired::Stopped).await.unwrap();
    let _ = runtime.ensure(&workload, Desired::ONE).await.unwrap();
    runtime.wait_ready(&workload, Duration::from_secs(1)).await.unwrap();
    begun.elapsed()
}

/// Many operations at the same time.
async fn throughput(engine: &str) {
    let mut site = Site::on(fresh(engine).await).await;
    site.work.concurrency = 8;
    site.settings.ports = 3001..=60_000;
    site.settings.subnets = SubnetPool { first: Ipv4Addr::new(10, 0, 0, 0), count: 1 << 20 };
    let bench = Bench::of(site);
    let names: Vec<String> = (0..count() * 4).map(|number| format!("app-{number}")).collect();
    let begun = Instant::now();
    let spawned = futures_util::future::join_all(names.iter().map(|name| bench.spawn(name))).await;
    let spawning = begun.elapsed();
    let begun = Instant::now();
    futures_util::future::join_all(spawned.iter().map(|operation| bench.destroy(operation.env_id().unwrap()))).await;
    let destroying = begun.elapsed();
    let per_second = |time: Duration| names.len() as f64 / time.as_secs_f64();
    println!(
        "throughput on {engine}: {:.0} spawns/s (planned by a template each) | {:.0} destroys/s | {} at once, 8 workers",
        per_second(spawning),
        per_second(destroying),
        names.len()
    );
}

/// From opening the database to holding the operation that was cut off, as what was ever done grows.
async fn recovery(engine: &str) {
    let fresh = fresh(engine).await;
    let store = Store::open(fresh.location()).await.unwrap();
    let (mut done, mut first) = (0, None);
    for size in HISTORY {
        while done < size {
            done += 1;
            begin(&store, done).await;
            let claimed = claim(&store, "bench").await;
            let ending = Ending {
                state: OperationState::Succeeded,
                failure: None,
                result: None,
                effect: Effect::None,
                action: "engine.swept",
            };
            store.end(&claimed.lease, &ending, now()).await.unwrap();
        }
        let mut times = Vec::new();
        for cut_off in 0..20 {
            begin(&store, 1_000_000 + size * 100 + cut_off).await;
            let held = claim(&store, "dead").await;
            let begun = Instant::now();
            let after = Store::open(fresh.location()).await.unwrap();
            assert_eq!(after.end_leases("dead").await.unwrap(), 1);
            let claimed = claim(&after, "bench").await;
            times.push(begun.elapsed());
            assert_eq!(claimed.operation.id, held.operation.id);
            let ending = Ending {
                state: OperationState::Succeeded,
                failure: None,
                result: None,
                effect: Effect::None,
                action: "engine.swept",
            };
            after.end(&claimed.lease, &ending, now()).await.unwrap();
            after.close().await;
        }
        let times = Percentiles::of(times);
        let first = *first.get_or_insert(times.p50);
        println!(
            "recovery on {engine} with {size} operations in the table: p50 {} p99 {} | ratio to {} {:.2}",
            shown(times.p50),
            shown(times.p99),
            HISTORY[0],
            times.p50.as_secs_f64() / first.as_secs_f64()
        );
    }
}

async fn claim(store: &Store, worker: &str) -> Claimed {
    let (kinds, lane) = (BTreeMap::from([("sweep", 0)]), Lane::Engine);
    let wanted = Wanted { worker, lease: LEASE, lane, kinds: &kinds, after: HOME, only: None };
    store.claim(wanted, now()).await.unwrap().unwrap()
}

async fn begin(store: &Store, number: u64) {
    let new = operation("sweep", number);
    store.begin_sweep(HOME, EnvId(i64::try_from(number).unwrap()), &new).await.unwrap().unwrap();
}

/// What a client asks most, as tenants grow.
async fn status(engine: &str) {
    let mut asked = Vec::new();
    for size in TENANTS {
        // Without a server that would work on what is only there to be asked about.
        let site = Site::on(fresh(engine).await).await;
        for number in 1..=size {
            site.store.begin_spawn(&Scope::platform(), &tenant(number)).await.unwrap();
        }
        let provisioner = site.front(std::sync::Arc::clone(&site.store)).provisioner;
        asked.push((size, site, provisioner, Vec::new()));
    }
    // In turns, so that whatever else the machine does meets all of them.
    for turn in 0..STATUS_TURNS {
        for (size, _site, provisioner, times) in &mut asked {
            for question in 0..STATUS_QUESTIONS {
                let number = (turn * STATUS_QUESTIONS + question) * 7 % *size + 1;
                let env_id = EnvId(i64::try_from(number).unwrap());
                let begun = Instant::now();
                provisioner.status(&Scope::platform(), env_id).await.unwrap().unwrap();
                times.push(begun.elapsed());
            }
        }
    }
    let mut smallest = None;
    for (size, _site, _provisioner, times) in asked {
        let times = Percentiles::of(times);
        let smallest = *smallest.get_or_insert(times.p99);
        println!(
            "status on {engine} with {size} tenants: p50 {} p99 {} | ratio of p99 to {} tenants {:.2}",
            shown(times.p50),
            shown(times.p99),
            TENANTS[0],
            times.p99.as_secs_f64() / smallest.as_secs_f64()
        );
    }
}

fn tenant(number: u64) -> NewSpawn {
    NewSpawn {
        tenant: TenantId(uuid::Uuid::from_u128(0x7e_0000_0000 + u128::from(number))),
        org: HOME,
        spec: spec(&format!("app-{number}")),
        revision: NewRevision {
            accepted_at: jiff::Timestamp::now(),
            plan: small_plan(),
            plugins: BTreeMap::from([(
                "go".to_owned(),
                PluginPin { version: "0.1.0".to_owned(), digest: "sha256:0".to_owned() },
            )]),
            limits: Limits::DEFAULT,
            reason: String::new(),
            restores: None,
            built: None,
            container: None,
        },
        operation: operation("spawn", number),
        key: KeyVerifier { version: 1, lookup: format!("lookup-{number}"), verifier: vec![0; 32] },
        node: LOCAL_NODE.to_owned(),
        ports: 1025..=65_535,
        skip_ports: BTreeSet::new(),
        subnets: SubnetPool { first: Ipv4Addr::new(10, 0, 0, 0), count: 1 << 20 },
        quota: None,
        backlog_max: u32::MAX,
    }
}

fn small_plan() -> BuildPlan {
    let health = Health {
        probe: Probe::Http("/health".into()),
        in_container: None,
        interval_seconds: 10,
        timeout_seconds: 2,
        retries: 3,
        start_period_seconds: 5,
    };
    let service = Service {
        command: vec!["/app".into()],
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
    let stage = Stage { name: "run".into(), base: Base::Image("golang:1.24-bookworm".into()), steps: Vec::new() };
    BuildPlan { files: Vec::new(), stages: vec![stage], service, notes: Vec::new(), extra: Vec::new() }
}

fn operation(kind: &'static str, number: u64) -> NewOperation {
    NewOperation {
        id: OperationId(uuid::Uuid::from_u128(0x0b_0000_0000 + u128::from(number))),
        kind,
        lane: Lane::Engine,
        exclusive: true,
        yields: false,
        input: serde_json::json!({}),
        actor: "bench".to_owned(),
        patience: Duration::from_secs(3600),
        idempotency: None,
        now: now(),
    }
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

/// The middle of what was measured, and its tail.
struct Percentiles {
    p50: Duration,
    p99: Duration,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

/// In the unit that suits it.
fn shown(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds < 1e-3 => format!("{:.1}µs", seconds * 1e6),
        seconds if seconds < 1.0 => format!("{:.2}ms", seconds * 1e3),
        seconds => format!("{seconds:.2}s"),
    }
}
