//! What can be asked of a tenant in each state, and what a stopped tenant is.

use convergence_model::operation::{Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{Scope, TenantName, Verb};
use convergence_provision::{NewLimits, PlanError, kind};
use convergence_runtime::fake::{Fault, Readiness};
use convergence_runtime::{Desired, Runtime};
use convergence_store::{Conflict, Entry, StoreError, TenantChange};
use convergence_work::RequestError;

use crate::bench::{Bench, INSTANCE, Site};
use crate::deployments::Stage;
use crate::refused;
use crate::table::name;

const STATES: [TenantStatus; 5] = [
    TenantStatus::Provisioning,
    TenantStatus::Running,
    TenantStatus::Stopped,
    TenantStatus::Failed,
    TenantStatus::Destroying,
];

impl Stage {
    /// A tenant in this state; an operation that holds it there hangs.
    async fn in_state(status: TenantStatus) -> Self {
        if status == TenantStatus::Provisioning {
            let bench = Bench::of(Site::new().await);
            bench.runtime.next("build", Fault::HangBefore);
            let accepted = bench.accept("app").await.unwrap();
            bench.runtime.called("build").await;
            return Self { bench, env_id: accepted.operation.env_id().unwrap() };
        }
        let stage = Self::new().await;
        match status {
            TenantStatus::Stopped => drop(stage.ask(Verb::Stop).await.unwrap()),
            TenantStatus::Failed => {
                let new = stage.bench.operations.new_operation(&kind::HALT, serde_json::json!({}), "test");
                let entry = Entry::found(&[TenantStatus::Running], "tenant.halt");
                let halt =
                    stage.bench.store.begin(&Scope::platform(), stage.env_id, &new, entry).await.unwrap().unwrap();
                stage.bench.operations.queued(kind::HALT.lane);
                assert_eq!(stage.done(&halt).await.state, OperationState::Succeeded);
            }
            TenantStatus::Destroying => {
                stage.bench.runtime.next("stop", Fault::HangBefore);
                let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
                stage.bench.provisioner.destroy(&scope, caller, stage.env_id, None).await.unwrap();
                stage.bench.runtime.called("stop").await;
            }
            _ => {}
        }
        assert_eq!(stage.tenant().await.status, status);
        stage
    }

    /// Asks for a verb and waits for the outcome.
    async fn ask(&self, verb: Verb) -> Result<Operation, RequestError> {
        let begun = self.begin(verb).await?;
        Ok(self.done(&begun).await)
    }

    async fn done(&self, operation: &Operation) -> Operation {
        self.bench.operations.outcome(operation.id, std::time::Duration::from_secs(60)).await.unwrap()
    }

    async fn begin(&self, verb: Verb) -> Result<Operation, RequestError> {
        let (scope, caller, env_id) = (&Scope::platform(), &self.bench.site.caller, self.env_id);
        let provisioner = &self.bench.provisioner;
        match verb {
            Verb::Start => provisioner.start(scope, caller, env_id).await,
            Verb::Stop => provisioner.stop(scope, caller, env_id).await,
            Verb::Restart => provisioner.restart(scope, caller, env_id).await,
            Verb::Repair => provisioner.repair(scope, caller, env_id).await,
            Verb::Destroy => provisioner.destroy(scope, caller, env_id, None).await,
            Verb::Deploy | Verb::Scale | Verb::Change => unreachable!("they have answers of their own"),
        }
    }

    async fn rename(&self, text: &str) -> Result<(), PlanError> {
        let change = TenantChange { name: Some(TenantName::parse(text).unwrap()), protected: None };
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        self.bench.provisioner.change(&scope, caller, self.env_id, &change).await.map(drop)
    }

    async fn is_up(&self) -> bool {
        let seen = self.bench.runtime.observe(&name(self.env_id)).await.unwrap();
        seen.is_some_and(|seen| seen.instances.iter().all(|instance| instance.state.is_up()))
    }
}

/// Every cell of the table: accepted where it says so, and otherwise told what the tenant is doing and what it can be asked.
#[tokio::test]
async fn every_verb_in_every_state_does_what_the_table_says() {
    for status in STATES {
        for verb in Verb::ALL {
            let stage = Stage::in_state(status).await;
            let allowed = verb.from().contains(&status);
            let told = format!("{verb} while {}", status.as_str());
            let before = (stage.tenant().await, stage.is_up().await);
            let held = matches!(status, TenantStatus::Provisioning | TenantStatus::Destroying);
            let refusal = match verb {
                Verb::Deploy => {
                    let spec = stage.tenant().await.spec;
                    stage.try_change(spec).await.err().map(|error| error.to_string())
                }
                // What holds the tenant is waited for by a deployment of it, and a live change is refused meanwhile.
                Verb::Scale => {
                    let limits = NewLimits { cpu_millis: Some(250), ..NewLimits::default() };
                    stage.try_scale(limits).await.err().map(|error| error.to_string())
                }
                Verb::Change => stage.rename("another").await.err().map(|error| error.to_string()),
                // What holds the tenant in its state has to end first, and does not.
                _ if allowed && held => {
                    let busy = stage.begin(verb).await.unwrap_err();
                    assert!(busy.to_string().contains("is not finished"), "{told}: {busy}");
                    assert_eq!((stage.tenant().await, stage.is_up().await), before, "{told}");
                    continue;
                }
                _ => stage.ask(verb).await.err().map(|error| error.to_string()),
            };
            match refusal {
                None => {
                    assert!(allowed, "{told} is accepted");
                    if let (Some(to), false, true) = (verb.to(), held, verb != Verb::Deploy) {
                        assert_eq!(stage.tenant().await.status, to, "{told}");
                        assert_eq!(stage.is_up().await, to == TenantStatus::Running, "{told}");
                    }
                }
                Some(refusal) => {
                    assert!(!allowed, "{told} is refused: {refusal}");
                    let (state, can) = (format!("is {}", status.as_str()), Verb::allowed(status));
                    assert!(refusal.contains(&state) && refusal.contains(&can), "{told}: {refusal}");
                    assert_eq!((stage.tenant().await, stage.is_up().await), before, "{told}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_stopped_stays_stopped_also_where_its_container_is_started_by_hand() {
    let stage = Stage::in_state(TenantStatus::Stopped).await;
    assert!(!stage.is_up().await);
    let (env_id, site) = (stage.env_id, stage.bench.into_site());
    let workload = site.runtime.workload(&name(env_id)).unwrap();
    let _ = site.runtime.ensure(&workload, Desired::ONE).await.unwrap();
    let stage = Stage { bench: Bench::of(site), env_id };
    assert!(stage.is_up().await);
    let reconciling = std::sync::Arc::clone(&stage.bench.provisioner);
    let stop = tokio_util::sync::CancellationToken::new();
    let looks = tokio_util::task::TaskTracker::new();
    looks.spawn(reconciling.reconcile(stop.clone()));
    while stage.is_up().await {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    stop.cancel();
    assert_eq!(stage.tenant().await.status, TenantStatus::Stopped);
}

#[tokio::test]
async fn a_stop_that_fails_leaves_the_tenant_running_and_a_start_that_fails_says_why() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("stop", Fault::Before(refused()));
    assert_eq!(stage.ask(Verb::Stop).await.unwrap().state, OperationState::Failed);
    assert_eq!((stage.tenant().await.status, stage.is_up().await), (TenantStatus::Running, true));
    let stage = Stage::in_state(TenantStatus::Stopped).await;
    stage.bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    let start = stage.ask(Verb::Start).await.unwrap();
    assert_eq!((start.state, start.failure.unwrap().step.as_str()), (OperationState::Failed, "probe"));
    // It should run from now on, so that it is repaired, and halted in the end.
    assert_eq!(stage.tenant().await.status, TenantStatus::Running);
}

/// What was done since counts: a repair that failed must not start what was stopped since.
#[tokio::test]
async fn an_operation_is_not_retried_after_something_else_was_done_to_its_tenant() {
    let stage = Stage::new().await;
    stage.bench.runtime.lose(&name(stage.env_id));
    stage.bench.runtime.next("create", Fault::Before(refused()));
    let repair = stage.ask(Verb::Repair).await.unwrap();
    assert_eq!(repair.state, OperationState::Failed);
    assert_eq!(stage.ask(Verb::Stop).await.unwrap().state, OperationState::Succeeded);
    let refused = stage.bench.operations.retry(&Scope::platform(), "tester", repair.id).await.unwrap_err();
    assert!(refused.to_string().contains("since operation"), "{refused}");
    assert_eq!(stage.tenant().await.status, TenantStatus::Stopped);
}

#[tokio::test]
async fn a_restart_stops_the_app_and_starts_the_same_container() {
    let stage = Stage::new().await;
    stage.bench.runtime.forget_journal();
    assert_eq!(stage.ask(Verb::Restart).await.unwrap().state, OperationState::Succeeded);
    let methods: Vec<_> = stage.bench.runtime.journal().into_iter().map(|call| call.method).collect();
    let at = |method: &str| methods.iter().position(|made| *made == method);
    assert!(at("halt").unwrap() < at("start").unwrap(), "{methods:?}");
    assert_eq!(at("create"), None, "{methods:?}");
}

#[tokio::test]
async fn a_deployment_to_a_stopped_tenant_starts_it_and_one_that_fails_leaves_it_stopped() {
    let stage = Stage::in_state(TenantStatus::Stopped).await;
    stage.bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    assert_eq!(stage.deploy("broken").await.state, OperationState::Failed);
    assert_eq!((stage.tenant().await.status, stage.is_up().await), (TenantStatus::Stopped, false));
    stage.bench.runtime.readiness(Readiness::Ready);
    assert_eq!(stage.deploy("two").await.state, OperationState::Succeeded);
    assert_eq!((stage.tenant().await.status, stage.is_up().await), (TenantStatus::Running, true));
}

#[tokio::test]
async fn a_deployment_that_waited_for_a_stop_does_not_start_the_revision_before_again() {
    let mut site = Site::new().await;
    // A stop that hangs is asked for again after this.
    site.work.step_limit = std::time::Duration::from_secs(2);
    let stage = Stage::on(site).await;
    stage.bench.runtime.next("stop", Fault::HangBefore);
    let stop = stage.begin(Verb::Stop).await.unwrap();
    stage.bench.runtime.called("stop").await;
    let waits = stage.accept(stage.prints("broken").await).await;
    assert_eq!(waits.operation.state, OperationState::Waiting);
    stage.bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    let patience = std::time::Duration::from_secs(60);
    assert_eq!(stage.bench.operations.outcome(stop.id, patience).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.outcome(&waits).await.state, OperationState::Failed);
    assert_eq!((stage.tenant().await.status, stage.is_up().await), (TenantStatus::Stopped, false));
}

#[tokio::test]
async fn a_new_name_is_unique_stays_through_rollbacks_and_touches_nothing_that_runs() {
    let stage = Stage::new().await;
    stage.bench.spawn("taken").await;
    let taken = stage.rename("TAKEN").await.unwrap_err();
    assert!(matches!(taken, PlanError::Store(StoreError::Conflict(Conflict::NameTaken { .. }))), "{taken}");
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    let before = stage.workload();
    stage.rename("App").await.unwrap();
    stage.rename("shop").await.unwrap();
    assert_eq!(stage.workload(), before);
    // The platform sees no difference that it would repair.
    stage.bench.runtime.forget_journal();
    assert_eq!(stage.ask(Verb::Repair).await.unwrap().state, OperationState::Succeeded);
    assert!(stage.bench.runtime.journal().iter().all(|call| call.method != "create"));
    // Nor does a deployment that fails put back anything but what was there.
    stage.bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    assert_eq!(stage.deploy("broken").await.state, OperationState::Failed);
    stage.bench.runtime.readiness(Readiness::Ready);
    assert_eq!(stage.workload().env, before.env);
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.tenant().await.spec.name.as_str(), "shop");
    assert_eq!(stage.revision(4).await.spec.name.as_str(), "shop");
}

#[tokio::test]
async fn policies_judge_a_new_name_and_only_the_name_that_a_tenant_will_have() {
    let bench = Bench::of(Site::new().await);
    let env_id = bench.spawn("no-app").await.env_id().unwrap();
    let mut site = bench.into_site();
    site.refuse_names().await;
    let stage = Stage { bench: Bench::of(site), env_id };
    let refused = stage.rename("no-shop").await.unwrap_err();
    assert!(format!("{refused:?}").contains("begin with no-"), "{refused:?}");
    assert_eq!(stage.tenant().await.spec.name.as_str(), "no-app");
    // A name that it has already is no change.
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let protect = TenantChange { name: Some(TenantName::parse("no-app").unwrap()), protected: Some(true) };
    assert!(stage.bench.provisioner.change(&scope, caller, env_id, &protect).await.unwrap().unwrap().protected);
    // Nor does the name of an earlier revision matter, where it is restored under another one.
    stage.rename("shop").await.unwrap();
    assert_eq!(stage.deploy("two").await.state, OperationState::Succeeded);
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
}

#[tokio::test]
async fn a_protected_tenant_is_destroyed_only_when_it_is_named_again() {
    let stage = Stage::new().await;
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let protect = TenantChange { name: None, protected: Some(true) };
    let changed = stage.bench.provisioner.change(&scope, caller, stage.env_id, &protect).await.unwrap().unwrap();
    assert!(changed.protected);
    for (confirm, told) in [(None, "confirm=app"), (Some(""), "which is app"), (Some("other"), "which is app")] {
        let refused = stage.bench.provisioner.destroy(&scope, caller, stage.env_id, confirm).await.unwrap_err();
        assert!(refused.to_string().contains(told), "{refused}");
    }
    // A wrong name is never ignored.
    let other = stage.bench.spawn("other").await.env_id().unwrap();
    let refused = stage.bench.provisioner.destroy(&scope, caller, other, Some("app")).await.unwrap_err();
    assert!(refused.to_string().contains("which is other"), "{refused}");
    assert_eq!(stage.bench.destroy(other).await.state, OperationState::Succeeded);
    let begun = stage.bench.provisioner.destroy(&scope, caller, stage.env_id, Some("app")).await.unwrap();
    let patience = std::time::Duration::from_secs(60);
    assert_eq!(stage.bench.operations.outcome(begun.id, patience).await.unwrap().state, OperationState::Succeeded);
    assert!(stage.bench.runtime.left(INSTANCE).is_empty());
}
