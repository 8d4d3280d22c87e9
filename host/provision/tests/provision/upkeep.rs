//! What the reconciler does by itself about an app that hangs or ends.

use std::time::Duration;

use convergence_model::Scope;
use convergence_model::operation::{Operation, OperationState};
use convergence_runtime::HealthStatus;
use convergence_store::OperationQuery;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bench::{Bench, Site};
use crate::table::name;

/// Waits for the repair number `count` to succeed, and answers it.
async fn repaired(bench: &Bench, count: usize) -> Operation {
    let query = || OperationQuery { subject: None, state: None, before: None, limit: 100 };
    let found = async {
        loop {
            let all = bench.store.operations(&Scope::platform(), query()).await.unwrap();
            let mut done = all.into_iter().filter(|operation| operation.kind == "repair");
            let newest = done.next();
            if let Some(newest) = newest.filter(|newest| newest.state == OperationState::Succeeded)
                && done.count() + 1 == count
            {
                return newest;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.expect("it is repaired")
}

#[tokio::test]
async fn an_app_that_hangs_is_stopped_and_started_again_and_how_it_ended_is_known() {
    let mut site = Site::new().await;
    site.settings.reconcile.unhealthy = Duration::ZERO;
    site.settings.reconcile.pause = Duration::ZERO;
    let bench = Bench::of(site);
    let env_id = bench.spawn("app").await.env_id().unwrap();
    let stop = CancellationToken::new();
    let reconciler = TaskTracker::new().spawn(std::sync::Arc::clone(&bench.provisioner).reconcile(stop.clone()));
    let container = name(env_id);
    let report = async || bench.provisioner.status(&Scope::platform(), env_id).await.unwrap().unwrap();

    bench.runtime.forget_journal();
    bench.runtime.hang(&container);
    assert_eq!(report().await.container.unwrap().health, Some(HealthStatus::Unhealthy));
    let repair = repaired(&bench, 1).await;
    assert!(repair.reason().contains("health check has been failing"), "{}", repair.reason());
    let calls: Vec<_> = bench.runtime.journal().into_iter().map(|call| call.method).collect();
    let at = |method: &str| calls.iter().position(|made| *made == method);
    assert!(at("halt").is_some() && at("halt") < at("start"), "{calls:?}");
    assert_eq!(at("remove"), None, "its container stays: {calls:?}");
    assert_eq!(report().await.container.unwrap().health, None, "its check begins anew");

    bench.runtime.crash(&container, 137, true);
    let repair = repaired(&bench, 2).await;
    assert!(repair.reason().contains("more memory than its limit"), "{}", repair.reason());
    let end = report().await.container.unwrap().last_end.unwrap();
    assert_eq!((end.code, end.oom), (Some(137), true));
    stop.cancel();
    reconciler.await.unwrap();
}

#[tokio::test]
async fn however_many_ask_how_a_tenant_is_the_engine_is_asked_once_until_it_tells_of_a_change() {
    let bench = Bench::new().await;
    let env_id = bench.spawn("app").await.env_id().unwrap();
    let (stop, scope) = (CancellationToken::new(), Scope::platform());
    let report = async || bench.provisioner.status(&scope, env_id).await.unwrap().unwrap();
    report().await;

    bench.runtime.forget_journal();
    let all = futures_util::future::join_all((0..100).map(|_| report())).await;
    assert!(all.iter().all(|report| report.usage.is_some_and(|usage| usage.memory_bytes > 0)));
    let asked = bench.runtime.journal().iter().filter(|call| ["observe", "stats"].contains(&call.method)).count();
    assert_eq!(asked, 0, "{:?}", bench.runtime.journal());

    let reconciler = TaskTracker::new().spawn(std::sync::Arc::clone(&bench.provisioner).reconcile(stop.clone()));
    bench.runtime.called("verify").await;
    report().await;
    bench.runtime.hang(&name(env_id));
    let told = async {
        while report().await.container.unwrap().health != Some(HealthStatus::Unhealthy) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_millis(900), told)
        .await
        .expect("it is told before the reading is a second old");
    stop.cancel();
    reconciler.await.unwrap();
}
