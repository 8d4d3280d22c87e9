//! Operations on a runtime that fails as it is told: what fails is undone, what is accepted is not lost, and nothing
//! is left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod bench;
mod cuts;
mod deployments;
mod faults;
mod own;
mod registries;
mod rehearsal;
mod scale;
mod table;
mod upgrade;
mod upkeep;
mod variables;
mod verbs;
mod volumes;

use std::time::Duration;

use convergence_access::development::HOME;
use convergence_model::operation::{Direction, EventKind, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{Code, Limits, Scope};
use convergence_runtime::fake::{Fault, Readiness};
use convergence_runtime::{Builder, Runtime, RuntimeError};
use convergence_store::{Idempotency, TenantQuery};

use bench::{Bench, INSTANCE, PORTS, Site, spec};

/// An error that is final: the engine did not like what it was asked.
fn refused() -> RuntimeError {
    RuntimeError::Engine { status: 400, message: "told to fail".to_owned() }
}

/// How often what nothing can stand in for is tried before an operator has to look.
const TRIES: usize = 4;

/// Every call of a spawn that may fail, with the step that then fails.
const CALLS: [(&str, &str); 10] = [
    ("base_image", "image"),
    ("image_id", "image"),
    ("build", "image"),
    ("publish", "image"),
    ("ensure_boundary", "network"),
    ("verify", "container"),
    ("create", "container"),
    ("check", "container"),
    ("start", "start"),
    ("wait_ready", "probe"),
];

#[tokio::test]
async fn whatever_call_of_a_spawn_fails_it_is_undone_and_leaves_nothing() {
    let bench = Bench::new().await;
    for (call, step) in CALLS {
        for fault in [Fault::Before(refused()), Fault::After(refused())] {
            let told = format!("{call} {fault:?}");
            bench.runtime.next(call, fault);
            let operation = bench.spawn("app").await;
            assert_eq!(operation.state, OperationState::Failed, "{told}");
            assert_eq!(operation.failure.expect("a failure").step, step, "{told}");
            assert!(bench.runtime.left(INSTANCE).is_empty(), "{told}");
            assert_eq!(bench.tenants().await, [], "{told}");
        }
    }
    // Name, port and network are free again.
    assert_eq!(bench.spawn("app").await.state, OperationState::Succeeded);
    let tenants = bench.tenants().await;
    assert_eq!((tenants[0].1.port, tenants[0].1.subnet.to_string().as_str()), (*PORTS.start(), "10.9.0.0/28"));
}

#[tokio::test]
async fn whatever_call_of_a_destroy_fails_it_can_be_asked_for_again() {
    let bench = Bench::new().await;
    for call in ["stop", "remove", "remove_boundary", "remove_image"] {
        for fault in [Fault::Before(refused()), Fault::After(refused())] {
            let told = format!("{call} {fault:?}");
            let spawned = bench.spawn("app").await;
            (0..TRIES).for_each(|_| bench.runtime.next(call, fault.clone()));
            let failed = bench.destroy(spawned.env_id().unwrap()).await;
            assert_eq!(failed.state, OperationState::Stuck, "{told}");
            assert_eq!(bench.tenants().await[0].0.status, TenantStatus::Failed, "{told}");
            assert_eq!(bench.destroy(spawned.env_id().unwrap()).await.state, OperationState::Succeeded, "{told}");
            assert!(bench.runtime.left(INSTANCE).is_empty(), "{told}");
            assert_eq!(bench.tenants().await, [], "{told}");
        }
    }
}

#[tokio::test]
async fn an_undo_that_fails_is_seen_and_a_destroy_cleans_up() {
    let bench = Bench::new().await;
    bench.runtime.next("wait_ready", Fault::Before(refused()));
    (0..TRIES).for_each(|_| bench.runtime.next("remove", Fault::Before(refused())));
    let operation = bench.spawn("app").await;
    assert_eq!(operation.state, OperationState::Stuck);
    assert_eq!(bench.tenants().await[0].0.status, TenantStatus::Failed);
    let events = bench.store.events(&Scope::platform(), operation.id, 0, 100).await.unwrap();
    assert!(events.iter().any(|event| (event.step.as_str(), event.event) == ("container", EventKind::UndoFailed)));
    assert_eq!(bench.destroy(operation.env_id().unwrap()).await.state, OperationState::Succeeded);
    assert!(bench.runtime.left(INSTANCE).is_empty());
}

#[tokio::test]
async fn an_app_that_does_not_answer_is_told_apart_from_one_that_ends() {
    let bench = Bench::new().await;
    bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    assert_eq!(bench.spawn("app").await.failure.unwrap().code, Code::AppExited);
    bench.runtime.readiness(Readiness::Exits { code: 137, oom: true });
    assert!(bench.spawn("app").await.failure.unwrap().next.contains("memoryMb"));
    bench.runtime.readiness(Readiness::Never);
    assert_eq!(bench.spawn("app").await.failure.unwrap().code, Code::AppNotReady);
    assert!(bench.runtime.left(INSTANCE).is_empty());
}

#[tokio::test]
async fn taken_ports_and_networks_are_left_to_their_owners() {
    let bench = Bench::new().await;
    bench.runtime.take_port(*PORTS.start());
    bench
        .runtime
        .next("ensure_boundary", Fault::Before(RuntimeError::SubnetTaken { subnet: "10.9.0.0/28".to_owned() }));
    assert_eq!(bench.spawn("app").await.state, OperationState::Succeeded);
    let tenants = bench.tenants().await;
    assert_eq!((tenants[0].1.port, tenants[0].1.subnet.to_string().as_str()), (*PORTS.start() + 1, "10.9.0.16/28"));

    for port in PORTS {
        bench.runtime.take_port(port);
    }
    let failure = bench.spawn("other").await.failure.unwrap();
    assert_eq!((failure.step.as_str(), failure.code.code()), ("start", Code::PortsTaken));
    assert_eq!(bench.runtime.owned(INSTANCE).await.unwrap().workloads.len(), 1);
}

#[tokio::test]
async fn two_tenants_of_one_image_share_it_and_the_last_one_takes_it_along() {
    let bench = Bench::new().await;
    let (one, two) = (bench.spawn("one").await, bench.spawn("two").await);
    let builds = bench.runtime.journal().iter().filter(|call| call.method == "build").count();
    assert_eq!(builds, 1);
    bench.destroy(one.env_id().unwrap()).await;
    assert_eq!(bench.runtime.owned_images(INSTANCE).await.unwrap().len(), 1);
    bench.destroy(two.env_id().unwrap()).await;
    assert!(bench.runtime.left(INSTANCE).is_empty());
}

#[tokio::test]
async fn an_engine_that_is_down_refuses_before_anything_is_stored() {
    let bench = Bench::new().await;
    let down = RuntimeError::Unreachable { socket: "/s".into(), cause: "gone".into(), hint: "start it".into() };
    bench.runtime.down(Some(down));
    let error = bench.accept("app").await.unwrap_err();
    assert!(matches!(error, convergence_provision::AcceptError::Engine(_)), "{error}");
    assert_eq!(bench.tenants().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_spawns_at_the_same_time_get_the_two_hundred_lowest_ports() {
    let mut site = Site::new().await;
    site.settings.ports = 3001..=4000;
    site.settings.subnets.count = 1024;
    let bench = Bench::of(site);
    let names: Vec<String> = (0..200).map(|n| format!("app-{n}")).collect();
    let all = futures_util::future::join_all(names.iter().map(|name| bench.spawn(name))).await;
    assert!(all.iter().all(|operation| operation.state == OperationState::Succeeded));
    let mut ports: Vec<u16> = bench.tenants().await.iter().map(|(_, binding)| binding.port).collect();
    ports.sort_unstable();
    assert_eq!(ports, (3001..=3200).collect::<Vec<_>>());
    let published = bench.runtime.owned(INSTANCE).await.unwrap().workloads.len();
    assert_eq!(published, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_with_one_key_make_one_tenant() {
    let bench = Bench::new().await;
    let ask = async || {
        let key = Idempotency { key: "once".to_owned(), request: vec![1] };
        let (scope, site) = (Scope::platform(), &bench.site);
        bench.provisioner.spawn(&scope, &site.caller, HOME, spec("app"), Some(key)).await.unwrap()
    };
    let all = futures_util::future::join_all((0..100).map(|_| ask())).await;
    let first = all[0].operation.id;
    assert!(all.iter().all(|accepted| accepted.operation.id == first), "all are told of one operation");
    assert_eq!(all.iter().filter(|accepted| !accepted.replayed).count(), 1);
    let operation = bench.operations.outcome(first, Duration::from_secs(60)).await.unwrap();
    assert_eq!(operation.state, OperationState::Succeeded);
    assert_eq!(bench.tenants().await.len(), 1);
}

#[tokio::test]
async fn a_spawn_that_is_cancelled_while_it_hangs_is_undone_at_once() {
    let bench = Bench::new().await;
    bench.runtime.next("wait_ready", Fault::HangBefore);
    let accepted = bench.accept("app").await.unwrap();
    bench.runtime.called("wait_ready").await;
    let id = accepted.operation.id;
    bench.operations.cancel(&Scope::platform(), "tester", id).await.unwrap();
    let operation = bench.operations.outcome(id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(operation.state, OperationState::Cancelled);
    assert_eq!(operation.failure.unwrap().code, Code::Cancelled);
    assert_eq!(bench.tenants().await, []);
    assert!(bench.runtime.left(INSTANCE).is_empty());
    let again = bench.operations.cancel(&Scope::platform(), "tester", id).await.unwrap_err();
    assert!(again.to_string().contains("is over"), "{again}");
}

#[tokio::test]
async fn a_destroy_lets_a_repair_finish_its_step_and_begins_only_then() {
    let bench = Bench::new().await;
    // Slow, so that the destroy is asked for in the middle of the call, and the next one has not been made.
    bench.runtime.latency(Duration::from_millis(200));
    for call in ["ensure_boundary", "create", "start", "wait_ready"] {
        let env_id = bench.spawn("app").await.env_id().unwrap();
        bench.runtime.lose(&table::name(env_id));
        bench.runtime.forget_journal();
        let repair = bench.provisioner.repair(&Scope::platform(), &bench.site.caller, env_id).await.unwrap();
        bench.runtime.called(call).await;
        assert_eq!(bench.destroy(env_id).await.state, OperationState::Succeeded, "{call}");
        let repair = bench.operations.outcome(repair.id, Duration::ZERO).await.unwrap();
        assert_eq!(repair.state, OperationState::Cancelled, "{call}");
        let calls: Vec<_> = bench.runtime.journal().into_iter().map(|call| call.method).collect();
        let first = calls.iter().position(|made| made.starts_with("remove")).expect("a removal");
        assert!(calls[first..].iter().all(|made| !made.starts_with("ensure")), "{call}: {calls:?}");
        assert!(bench.runtime.left(INSTANCE).is_empty(), "{call}");
    }
}

#[tokio::test]
async fn what_is_stuck_is_tried_again_the_way_it_was_going() {
    let bench = Bench::new().await;
    bench.runtime.next("wait_ready", Fault::Before(refused()));
    (0..TRIES).for_each(|_| bench.runtime.next("remove_boundary", Fault::Before(refused())));
    let stuck = bench.spawn("app").await;
    assert_eq!((stuck.state, stuck.direction), (OperationState::Stuck, Direction::Back));
    let retried = bench.operations.retry(&Scope::platform(), "tester", stuck.id).await.unwrap();
    let operation = bench.operations.outcome(retried.id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(operation.state, OperationState::Failed, "it is undone, not begun again");
    assert_eq!(operation.failure.unwrap().step, "probe", "for the reason it was turned back for");
    assert_eq!(bench.tenants().await, []);
    assert!(bench.runtime.left(INSTANCE).is_empty());
    assert!(bench.operations.retry(&Scope::platform(), "tester", stuck.id).await.is_err());
}

#[tokio::test]
async fn an_engine_that_is_away_for_a_while_delays_a_spawn_and_no_more() {
    let bench = Bench::new().await;
    let away = || RuntimeError::Unreachable { socket: "/s".into(), cause: "gone".into(), hint: "wait".into() };
    (0..12).for_each(|_| bench.runtime.next("create", Fault::Before(away())));
    let operation = bench.spawn("app").await;
    assert_eq!(operation.state, OperationState::Succeeded, "{:?}", operation.failure);
    let events = bench.store.events(&Scope::platform(), operation.id, 0, 100).await.unwrap();
    let waits = events.iter().filter(|event| event.event == EventKind::Waiting).count();
    assert_eq!(waits, 12, "each wait is told of");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_delays_an_undo_and_nothing_gets_stuck() {
    let bench = Bench::new().await;
    bench.runtime.next("wait_ready", Fault::Before(refused()));
    let silence = || RuntimeError::Timeout { what: "remove the network".into(), after: Duration::from_secs(1) };
    (0..2 * TRIES).for_each(|_| bench.runtime.next("remove_boundary", Fault::Before(silence())));
    let operation = bench.spawn("app").await;
    assert_eq!(operation.state, OperationState::Failed);
    assert_eq!(operation.failure.unwrap().step, "probe");
    assert!(bench.runtime.left(INSTANCE).is_empty());
}

#[tokio::test]
async fn a_step_that_hangs_does_not_keep_others_from_going_on() {
    let bench = Bench::new().await;
    bench.runtime.next("start", Fault::HangBefore);
    let hanging = bench.accept("hangs").await.unwrap();
    bench.runtime.called("start").await;
    assert_eq!(bench.spawn("goes-on").await.state, OperationState::Succeeded);
    let still = bench.operations.outcome(hanging.operation.id, Duration::ZERO).await.unwrap();
    assert_eq!(still.state, OperationState::Running);
}

#[tokio::test]
async fn the_history_tells_each_step_before_and_after() {
    let bench = Bench::new().await;
    let operation = bench.spawn("app").await;
    let events = bench.store.events(&Scope::platform(), operation.id, 0, 1000).await.unwrap();
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.event != EventKind::Line)
        .map(|event| (event.step.as_str(), event.event))
        .collect();
    let steps = ["image", "network", "volumes", "container", "start", "probe"];
    let expected: Vec<_> =
        steps.iter().flat_map(|step| [(*step, EventKind::Started), (*step, EventKind::Done)]).collect();
    assert_eq!(told, expected);
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=events.len() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_an_organization_uses_counts_the_limits_it_was_given() {
    let bench = Bench::new().await;
    bench.spawn("one").await;
    bench.spawn("two").await;
    let usage = bench.store.usage(&Scope::platform(), HOME).await.unwrap();
    assert_eq!((usage.tenants, usage.memory_mb), (2, 2 * Limits::DEFAULT.memory_mb));
    let query = TenantQuery { org: Some(HOME), after: None, limit: 1 };
    assert_eq!(bench.store.tenants(&Scope::platform(), query).await.unwrap().len(), 1);
}
