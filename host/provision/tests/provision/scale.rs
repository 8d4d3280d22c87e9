//! Other limits for a tenant, while its app runs and with another container.

use convergence_model::operation::{Operation, OperationState};
use convergence_model::tenant::TenantStatus;
use convergence_model::{RevisionNumber, Scope};
use convergence_provision::{AcceptError, Configured, DeployError, NewLimits};
use convergence_runtime::fake::Fault;
use convergence_runtime::{Runtime, RuntimeError};
use convergence_store::{Conflict, StoreError};

use crate::deployments::Stage;

/// What no template plans anything else for.
const CPU: NewLimits = NewLimits { cpu_millis: Some(250), memory_mb: None, disk_mb: None };
/// The template for Go tells the app how much memory it has.
const MEMORY: NewLimits = NewLimits { cpu_millis: None, memory_mb: Some(256), disk_mb: None };

impl Stage {
    pub(crate) async fn try_scale(&self, limits: NewLimits) -> Result<Configured, DeployError> {
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        self.bench.provisioner.scale(&scope, caller, self.env_id, &limits, String::new()).await
    }

    async fn scaled(&self, limits: NewLimits) -> Operation {
        let scaling = self.try_scale(limits).await.unwrap();
        let Configured::Deploying(deployed) = scaling else { panic!("{scaling:?}") };
        self.outcome(&deployed).await
    }

    fn calls(&self, method: &str) -> usize {
        self.bench.runtime.journal().iter().filter(|call| call.method == method).count()
    }
}

#[tokio::test]
async fn limits_that_change_no_plan_are_changed_while_the_app_runs() {
    let stage = Stage::new().await;
    let before = stage.workload();
    stage.bench.runtime.forget_journal();
    let scaled = stage.scaled(CPU).await;
    assert_eq!((scaled.state, scaled.kind.as_str()), (OperationState::Succeeded, "scale"), "{:?}", scaled.failure);
    let after = stage.workload();
    assert_eq!(after.limits.cpu_millis, 250);
    assert_eq!((stage.calls("resize"), stage.calls("create"), stage.calls("halt")), (1, 0, 0));
    assert_eq!((stage.runs().as_str(), stage.tenant().await.current_revision), ("1", Some(RevisionNumber(2))));
    assert_eq!((&after.labels, &after.env), (&before.labels, &before.env), "it is the same container");
    // It is as its revision says: nothing is repaired, and a second time the same container is resized.
    assert_eq!(stage.bench.runtime.verify(&after).await.unwrap().len(), 0);
    let again = stage.scaled(NewLimits { cpu_millis: Some(750), ..CPU }).await;
    assert_eq!(again.state, OperationState::Succeeded, "{:?}", again.failure);
    assert_eq!((stage.runs().as_str(), stage.revision(3).await.container), ("1", Some(RevisionNumber(1))));
    assert!(matches!(
        stage.try_scale(NewLimits { cpu_millis: Some(750), ..CPU }).await.unwrap(),
        Configured::Unchanged
    ));
    // A restart and a repair keep the container; a deployment makes one with the new limits.
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let repair = stage.bench.provisioner.repair(&scope, caller, stage.env_id).await.unwrap();
    stage.bench.operations.outcome(repair.id, std::time::Duration::from_secs(60)).await.unwrap();
    assert_eq!((stage.runs().as_str(), stage.calls("create")), ("1", 0));
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    assert_eq!((stage.runs().as_str(), stage.workload().limits.cpu_millis), ("4", 750));
    // A rollback has the limits of the revision it restores.
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.workload().limits, before.limits);
}

#[tokio::test]
async fn limits_that_change_the_plan_need_another_container_of_the_same_image() {
    let stage = Stage::new().await;
    let before = stage.workload();
    stage.bench.runtime.forget_journal();
    let scaled = stage.scaled(MEMORY).await;
    assert_eq!((scaled.state, scaled.kind.as_str()), (OperationState::Succeeded, "deploy"), "{:?}", scaled.failure);
    let after = stage.workload();
    assert_eq!((after.limits.memory_mb, stage.runs().as_str(), &after.image), (256, "2", &before.image));
    assert_ne!(after.env["GOMEMLIMIT"], before.env["GOMEMLIMIT"]);
    assert_eq!((stage.calls("resize"), stage.calls("build")), (0, 0));
}

#[tokio::test]
async fn limits_that_the_engine_refuses_are_taken_back() {
    let stage = Stage::new().await;
    let before = stage.workload();
    let refused = RuntimeError::Engine { status: 400, message: "told to fail".into() };
    stage.bench.runtime.next("resize", Fault::Before(refused));
    let scaled = stage.scaled(CPU).await;
    assert_eq!(scaled.state, OperationState::Failed);
    assert_eq!(stage.workload(), before);
    let tenant = stage.tenant().await;
    assert_eq!((tenant.status, tenant.current_revision), (TenantStatus::Running, Some(RevisionNumber(1))));
    assert_eq!(tenant.spec.limits.cpu_millis, before.limits.cpu_millis);
}

#[tokio::test]
async fn a_container_that_is_gone_is_made_with_the_new_limits() {
    let stage = Stage::new().await;
    let site_name = crate::table::name(stage.env_id);
    stage.bench.runtime.lose(&site_name);
    let scaled = stage.scaled(CPU).await;
    assert_eq!(scaled.state, OperationState::Succeeded, "{:?}", scaled.failure);
    assert_eq!(stage.workload().limits.cpu_millis, 250);
}

#[tokio::test]
async fn a_tenant_that_something_else_is_done_to_is_not_scaled_meanwhile() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("stop", Fault::HangBefore);
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    stage.bench.provisioner.stop(&scope, caller, stage.env_id).await.unwrap();
    stage.bench.runtime.called("stop").await;
    let busy = stage.try_scale(CPU).await.unwrap_err();
    let is_busy =
        matches!(&busy, DeployError::Accept(AcceptError::Store(StoreError::Conflict(Conflict::SubjectBusy { .. }))));
    assert!(is_busy, "{busy:?}");
}

#[tokio::test]
async fn limits_of_a_stopped_tenant_wait_for_its_next_deployment() {
    let stage = Stage::new().await;
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let stop = stage.bench.provisioner.stop(&scope, caller, stage.env_id).await.unwrap();
    stage.bench.operations.outcome(stop.id, std::time::Duration::from_secs(60)).await.unwrap();
    let little = stage.try_scale(NewLimits { memory_mb: Some(1), ..MEMORY }).await.unwrap_err();
    assert!(little.to_string().contains("MiB"), "{little}");
    assert!(matches!(stage.try_scale(CPU).await.unwrap(), Configured::Kept));
    assert_eq!(stage.tenant().await.status, TenantStatus::Stopped);
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    assert_eq!(stage.workload().limits.cpu_millis, 250);
}

#[tokio::test]
async fn limits_that_no_app_can_have_are_refused_by_field() {
    let stage = Stage::new().await;
    for (limits, field) in [
        (NewLimits { cpu_millis: Some(1), ..CPU }, "cores"),
        (NewLimits { memory_mb: Some(1), ..MEMORY }, "MiB"),
        (NewLimits { memory_mb: Some(u32::MAX), ..MEMORY }, "MiB"),
    ] {
        let refused = stage.try_scale(limits).await.unwrap_err();
        let told = refused.to_string();
        assert!(matches!(refused, DeployError::Accept(AcceptError::Plan(_))) && told.contains(field), "{told}");
    }
    assert_eq!(stage.tenant().await.current_revision, Some(RevisionNumber(1)));
}
