//! Deployments: the next revision of a tenant, while the one before serves; and going back to an earlier one.

use std::time::Duration;

use convergence_model::operation::{Operation, OperationState};
use convergence_model::tenant::{Revision, RevisionState, Tenant, TenantStatus};
use convergence_model::workload::{Workload, label};
use convergence_model::{Code, EnvId, EnvName, RevisionNumber, Scope, Source, TenantSpec};
use convergence_provision::{AcceptError, DeployError, Deployed, Wanted};
use convergence_runtime::fake::{Fault, Readiness};
use convergence_runtime::{Builder, Runtime};
use convergence_store::{Base, Conflict, StoreError};

use crate::bench::{Bench, INSTANCE, Site};
use crate::refused;
use crate::table::name;

const PATIENCE: Duration = Duration::from_secs(60);

/// A bench with a tenant that runs.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) env_id: EnvId,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::on(Site::new().await).await
    }

    pub(crate) async fn on(site: Site) -> Self {
        let bench = Bench::of(site);
        let env_id = bench.spawn("app").await.env_id().unwrap();
        Self { bench, env_id }
    }

    pub(crate) async fn tenant(&self) -> Tenant {
        self.bench.store.tenant(&Scope::platform(), self.env_id).await.unwrap().unwrap()
    }

    pub(crate) async fn revision(&self, number: i64) -> Revision {
        let tenant = self.tenant().await.id;
        self.bench.store.revision(&Scope::platform(), tenant, RevisionNumber(number)).await.unwrap().unwrap()
    }

    /// An application that prints this, so that each has an image of its own.
    pub(crate) async fn prints(&self, text: &str) -> Source {
        let main = format!("package main\n\nfunc main() {{ println({text:?}) }}\n");
        self.bench.site.source(&[("go.mod", "module app\n\ngo 1.24\n"), ("main.go", &main)]).await
    }

    pub(crate) async fn accept(&self, source: Source) -> Deployed {
        let tenant = self.tenant().await;
        self.change(TenantSpec { source, language: String::new(), ..tenant.spec }).await
    }

    pub(crate) async fn change(&self, spec: TenantSpec) -> Deployed {
        self.try_change(spec).await.unwrap()
    }

    pub(crate) async fn try_change(&self, spec: TenantSpec) -> Result<Deployed, DeployError> {
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        let reason = "because".to_owned();
        let base = self.bench.provisioner.wanted(&scope, self.env_id).await.unwrap().unwrap().base;
        let wanted = Wanted { spec, base, secrets: Vec::new(), fresh_source: true };
        self.bench.provisioner.deploy(&scope, caller, self.env_id, wanted, reason, None).await
    }

    pub(crate) async fn outcome(&self, deployed: &Deployed) -> Operation {
        self.bench.operations.outcome(deployed.operation.id, PATIENCE).await.unwrap()
    }

    pub(crate) async fn deploy(&self, text: &str) -> Operation {
        let deployed = self.accept(self.prints(text).await).await;
        self.outcome(&deployed).await
    }

    pub(crate) async fn rollback(&self, number: i64) -> Result<Operation, DeployError> {
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        let (number, reason) = (RevisionNumber(number), String::new());
        let deployed = self.bench.provisioner.rollback(&scope, caller, self.env_id, number, reason, None).await?;
        Ok(self.outcome(&deployed).await)
    }

    /// What serves.
    pub(crate) fn workload(&self) -> Workload {
        self.bench.runtime.workload(&name(self.env_id)).expect("a container")
    }

    pub(crate) fn runs(&self) -> String {
        self.workload().labels[label::REVISION].clone()
    }

    async fn images(&self) -> usize {
        self.bench.runtime.owned_images(INSTANCE).await.unwrap().len()
    }
}

#[tokio::test]
async fn a_deployment_builds_the_source_that_was_uploaded_and_replaces_what_ran() {
    let stage = Stage::new().await;
    let before = stage.workload();
    stage.bench.runtime.forget_journal();
    let deployed = stage.deploy("one").await;
    assert_eq!(deployed.state, OperationState::Succeeded, "{:?}", deployed.failure);
    let (after, tenant, revision) = (stage.workload(), stage.tenant().await, stage.revision(2).await);
    assert_eq!((stage.runs().as_str(), tenant.current_revision), ("2", Some(RevisionNumber(2))));
    assert_ne!(after.image, before.image);
    assert_eq!((after.published, &after.name), (before.published, &before.name));
    assert_eq!((revision.state, revision.reason.as_str()), (RevisionState::Ready, "because"));
    assert_eq!((revision.spec.language.as_str(), tenant.spec), ("go", revision.spec.clone()));
    assert!(revision.plan.notes[0].starts_with("Recognized as `go`"), "{:?}", revision.plan.notes);
    let build = stage.bench.runtime.built(&after.image).unwrap();
    assert!(build.source.is_some_and(|source| source.path.exists()), "the source goes into the build");

    // It proved itself before anything was taken from the one before.
    let calls = stage.bench.runtime.journal();
    let at = |method: &str| calls.iter().position(|call| call.method == method).unwrap();
    assert!(at("wait_ready") < calls.iter().rposition(|call| call.method == "discard").unwrap(), "{calls:?}");
    assert_eq!(stage.bench.runtime.owned(INSTANCE).await.unwrap().workloads.len(), 1, "the candidate is gone");
}

#[tokio::test]
async fn a_revision_that_does_not_come_up_leaves_the_one_before_as_it_is() {
    let stage = Stage::new().await;
    let before = stage.workload();
    for readiness in [Readiness::Never, Readiness::Exits { code: 1, oom: false }] {
        stage.bench.runtime.readiness(readiness);
        stage.bench.runtime.forget_journal();
        let failed = stage.deploy("never ready").await;
        assert_eq!(failed.state, OperationState::Failed);
        assert_eq!(failed.failure.unwrap().step, "trial");
        assert_eq!(stage.workload(), before);
        assert_eq!((stage.tenant().await.status, stage.images().await), (TenantStatus::Running, 1));
        let touched = stage.bench.runtime.journal();
        let touched = touched.iter().filter(|call| ["halt", "discard", "stop"].contains(&call.method)).count();
        assert_eq!(touched, 0, "what served was never stopped");
    }
    assert_eq!(stage.revision(3).await.state, RevisionState::Failed);
    assert!(matches!(stage.rollback(2).await, Err(DeployError::Unusable { .. })));

    // A repair brings back the revision that ran, and not the newest one.
    stage.bench.runtime.readiness(Readiness::Ready);
    stage.bench.runtime.lose(&name(stage.env_id));
    let repair =
        stage.bench.provisioner.repair(&Scope::platform(), &stage.bench.site.caller, stage.env_id).await.unwrap();
    let repair = stage.bench.operations.outcome(repair.id, PATIENCE).await.unwrap();
    assert_eq!((repair.state, stage.runs().as_str()), (OperationState::Succeeded, "1"));
}

#[tokio::test]
async fn a_revision_that_cannot_take_over_gives_back_what_it_took() {
    let stage = Stage::new().await;
    let before = stage.workload();
    // The second container comes up as a candidate, and the engine does not start it where it is to serve. Where that is
    // among the calls is seen from a run in which nothing is built, as then.
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    stage.bench.runtime.forget_journal();
    let deployed = stage.accept(stage.prints("one").await).await;
    let clean = stage.outcome(&deployed).await;
    assert_eq!(clean.state, OperationState::Succeeded);
    let starts: Vec<_> = stage
        .bench
        .runtime
        .journal()
        .iter()
        .enumerate()
        .filter(|(_, call)| call.method == "start")
        .map(|(at, _)| at)
        .collect();
    let [_, second] = starts[..] else { panic!("{starts:?}") };
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);

    stage.bench.runtime.forget_journal();
    stage.bench.runtime.nth(second + 1, Fault::Before(refused()));
    let failed = stage.accept(stage.prints("one").await).await;
    let failed = stage.outcome(&failed).await;
    assert_eq!((failed.state, failed.failure.unwrap().step.as_str()), (OperationState::Failed, "start"));
    assert_eq!((stage.runs().as_str(), stage.workload().image), ("5", before.image));
    let seen = stage.bench.runtime.observe(&name(stage.env_id)).await.unwrap().unwrap();
    assert!(seen.instances.iter().all(|instance| instance.state.is_up()), "{seen:?}");
}

#[tokio::test]
async fn a_rollback_restores_image_limits_and_variables_without_building() {
    let stage = Stage::new().await;
    let first = stage.workload();
    let mut spec = stage.tenant().await.spec;
    spec.source = stage.prints("two").await;
    spec.limits.memory_mb *= 2;
    spec.env.insert(EnvName::parse("COLOUR").unwrap(), "blue".to_owned());
    let second = stage.change(spec).await;
    assert_eq!(stage.outcome(&second).await.state, OperationState::Succeeded);
    assert!(stage.workload().env.contains_key("COLOUR") && stage.workload().limits != first.limits);

    stage.bench.runtime.forget_journal();
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    let builds = stage.bench.runtime.journal().iter().filter(|call| call.method == "build").count();
    assert_eq!(builds, 0);
    let mut restored = stage.workload();
    // What is different is which revision it is, and what made it.
    for name in [label::REVISION, label::OPERATION] {
        restored.labels.insert(name.to_owned(), first.labels[name].clone());
    }
    assert_eq!(restored, first);
    let revision = stage.revision(3).await;
    assert_eq!(
        (revision.restores, stage.tenant().await.current_revision),
        (Some(RevisionNumber(1)), Some(revision.number))
    );
    let again = stage.rollback(3).await.unwrap_err().to_string();
    assert!(again.contains("the one that runs"), "{again}");
    assert!(matches!(stage.rollback(9).await, Err(DeployError::NoRevision(_))));
}

#[tokio::test]
async fn the_newest_of_several_deployments_waits_and_replaces_the_others() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("build", Fault::HangBefore);
    let first = stage.accept(stage.prints("one").await).await;
    stage.bench.runtime.called("build").await;
    let second = stage.accept(stage.prints("two").await).await;
    assert_eq!(second.operation.state, OperationState::Waiting);
    let third = stage.accept(stage.prints("three").await).await;
    let second = stage.outcome(&second).await;
    assert_eq!((second.state, second.failure.unwrap().code.code()), (OperationState::Cancelled, Code::Cancelled));
    assert_eq!(stage.revision(3).await.state, RevisionState::Replaced);
    stage.bench.operations.cancel(&Scope::platform(), "tester", first.operation.id).await.unwrap();
    assert_eq!(stage.outcome(&first).await.state, OperationState::Cancelled);
    let third = stage.outcome(&third).await;
    assert_eq!((third.state, stage.runs().as_str()), (OperationState::Succeeded, "4"), "{:?}", third.failure);
    assert_eq!(stage.revision(2).await.state, RevisionState::Failed);
}

#[tokio::test]
async fn what_waits_for_its_turn_can_be_cancelled_and_the_next_one_has_it() {
    let stage = Stage::new().await;
    stage.bench.runtime.next("build", Fault::HangBefore);
    let first = stage.accept(stage.prints("one").await).await;
    stage.bench.runtime.called("build").await;
    let second = stage.accept(stage.prints("two").await).await;
    stage.bench.operations.cancel(&Scope::platform(), "tester", second.operation.id).await.unwrap();
    assert_eq!(stage.outcome(&second).await.state, OperationState::Cancelled);
    let third = stage.accept(stage.prints("three").await).await;
    stage.bench.operations.cancel(&Scope::platform(), "tester", first.operation.id).await.unwrap();
    assert_eq!(stage.outcome(&third).await.state, OperationState::Succeeded);
    assert_eq!(stage.runs(), "4");
}

#[tokio::test]
async fn a_deployment_of_a_tenant_that_is_being_made_waits_for_that() {
    let bench = Bench::of(Site::new().await);
    bench.runtime.next("build", Fault::HangBefore);
    let made = bench.accept("app").await.unwrap();
    bench.runtime.called("build").await;
    let stage = Stage { bench, env_id: made.operation.env_id().unwrap() };
    let waits = stage.accept(stage.prints("one").await).await;
    assert_eq!(waits.operation.state, OperationState::Waiting);
}

#[tokio::test]
async fn what_ran_before_a_revision_is_not_one_that_failed() {
    let stage = Stage::new().await;
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    stage.bench.runtime.readiness(Readiness::Exits { code: 1, oom: false });
    assert_eq!(stage.deploy("broken").await.state, OperationState::Failed);
    stage.bench.runtime.readiness(Readiness::Ready);
    assert_eq!(stage.deploy("two").await.state, OperationState::Succeeded);
    let tenant = stage.tenant().await.id;
    for (number, before) in [(4, Some(2)), (3, Some(2)), (2, Some(1)), (1, None)] {
        let found = stage.bench.store.ran_before(&Scope::platform(), tenant, RevisionNumber(number)).await.unwrap();
        assert_eq!(found.map(|revision| revision.number), before.map(RevisionNumber), "before {number}");
    }
}

#[tokio::test]
async fn images_of_old_revisions_make_room_and_can_be_restored_no_longer() {
    let stage = Stage::new().await;
    // The site keeps three.
    for text in ["one", "two", "three", "four"] {
        assert_eq!(stage.deploy(text).await.state, OperationState::Succeeded);
    }
    assert_eq!(stage.images().await, 3);
    let states: Vec<_> = futures_util::future::join_all((1..=5).map(|number| stage.revision(number))).await;
    let states: Vec<_> = states.into_iter().map(|revision| revision.state).collect();
    let (retired, ready) = (RevisionState::Retired, RevisionState::Ready);
    assert_eq!(states, [retired, retired, ready, ready, ready]);
    let told = stage.rollback(1).await.unwrap_err().to_string();
    assert!(told.contains("removed to make room"), "{told}");
    assert_eq!(stage.rollback(3).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.bench.destroy(stage.env_id).await.state, OperationState::Succeeded);
    assert!(stage.bench.runtime.left(INSTANCE).is_empty());
}

#[tokio::test]
async fn a_source_that_is_needed_again_and_gone_is_told() {
    let stage = Stage::new().await;
    let source = stage.prints("one").await;
    let deployed = stage.accept(source.clone()).await;
    assert_eq!(stage.outcome(&deployed).await.state, OperationState::Succeeded);
    let image = stage.workload().image;
    stage.bench.site.sources.remove(source.digest().unwrap()).await.unwrap();
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    let _ = stage.bench.runtime.remove_image(&image, INSTANCE).await.unwrap();
    let failed = stage.rollback(2).await.unwrap();
    assert_eq!(failed.failure.unwrap().code.code(), Code::SourceGone);
    assert_eq!((failed.state, stage.runs().as_str()), (OperationState::Failed, "3"));
}

#[tokio::test]
async fn a_source_is_its_organizations_own_and_a_folder_of_nothing_is_not_recognized() {
    let stage = Stage::new().await;
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let tenant = stage.tenant().await;
    let deploy = async |source| {
        let spec = TenantSpec { source, language: String::new(), ..tenant.spec.clone() };
        let wanted = Wanted {
            spec,
            base: Base { revision: RevisionNumber(1), staged: 0 },
            secrets: Vec::new(),
            fresh_source: true,
        };
        let deployed = stage.bench.provisioner.deploy(&scope, caller, stage.env_id, wanted, String::new(), None).await;
        deployed.unwrap_err().to_string()
    };
    let unknown = Source::Archive(convergence_model::SourceDigest::new([9; 32]));
    assert!(deploy(unknown).await.contains("there is no source"));
    let nothing = stage.bench.site.source(&[("README", "x")]).await;
    assert!(deploy(nothing).await.contains("no template recognizes"));
    let wrong = stage.bench.site.source(&[("go.mod", "module a\n"), ("Procfile", "web\n")]).await;
    assert!(deploy(wrong).await.contains("write `name: command`"));
    assert_eq!(stage.tenant().await, tenant);
}

#[tokio::test]
async fn a_deployment_that_was_overtaken_is_told_and_one_of_a_tenant_that_goes_is_refused() {
    let stage = Stage::new().await;
    let (scope, caller) = (Scope::platform(), &stage.bench.site.caller);
    let wanted = stage.bench.provisioner.wanted(&scope, stage.env_id).await.unwrap().unwrap();
    assert_eq!(stage.deploy("another").await.state, OperationState::Succeeded);
    let late = stage.bench.provisioner.deploy(&scope, caller, stage.env_id, wanted, String::new(), None).await;
    let late = late.unwrap_err();
    assert!(
        matches!(late, DeployError::Accept(AcceptError::Store(StoreError::Conflict(Conflict::NewerRevision { .. })))),
        "{late}"
    );

    stage.bench.runtime.next("stop", Fault::HangBefore);
    stage.bench.provisioner.destroy(&scope, caller, stage.env_id, None).await.unwrap();
    stage.bench.runtime.called("stop").await;
    let wanted = stage.bench.provisioner.wanted(&scope, stage.env_id).await.unwrap().unwrap();
    let busy = stage.bench.provisioner.deploy(&scope, caller, stage.env_id, wanted, String::new(), None).await;
    let busy = busy.unwrap_err();
    assert!(
        matches!(busy, DeployError::Accept(AcceptError::Store(StoreError::Conflict(Conflict::NotInThisState { .. })))),
        "{busy}"
    );
}

#[tokio::test]
async fn a_revision_that_serves_stays_though_old_images_cannot_be_removed() {
    let stage = Stage::new().await;
    for text in ["one", "two"] {
        assert_eq!(stage.deploy(text).await.state, OperationState::Succeeded);
    }
    stage.bench.runtime.next("remove_image", Fault::Before(refused()));
    assert_eq!(stage.deploy("three").await.state, OperationState::Succeeded);
    assert_eq!((stage.runs().as_str(), stage.revision(1).await.state), ("4", RevisionState::Retired));
}

#[tokio::test]
async fn what_was_stuck_and_is_tried_again_brings_back_what_served() {
    let stage = Stage::new().await;
    let before = stage.workload();
    assert_eq!(stage.deploy("one").await.state, OperationState::Succeeded);
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);

    // Cancelled while it is probed in its place, and what served cannot be put back.
    stage.bench.runtime.forget_journal();
    let clean = stage.accept(stage.prints("one").await).await;
    assert_eq!(stage.outcome(&clean).await.state, OperationState::Succeeded);
    let calls = stage.bench.runtime.journal();
    let last = calls.iter().rposition(|call| call.method == "wait_ready").unwrap() + 1;
    assert_eq!(stage.rollback(1).await.unwrap().state, OperationState::Succeeded);
    stage.bench.runtime.forget_journal();
    stage.bench.runtime.nth(last, Fault::HangBefore);
    let deployed = stage.accept(stage.prints("one").await).await;
    while stage.bench.runtime.journal().len() < last {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (0..20).for_each(|_| stage.bench.runtime.next("discard", Fault::Before(refused())));
    stage.bench.operations.cancel(&Scope::platform(), "tester", deployed.operation.id).await.unwrap();
    let stuck = stage.outcome(&deployed).await;
    assert_eq!((stuck.state, stage.tenant().await.status), (OperationState::Stuck, TenantStatus::Failed));
    // What is deployed next changes what served, and not what is stuck.
    let wanted = stage.bench.provisioner.wanted(&Scope::platform(), stage.env_id).await.unwrap().unwrap();
    assert_eq!(wanted.spec, stage.tenant().await.spec);
    stage.bench.runtime.forget_faults();
    let retried = stage.bench.operations.retry(&Scope::platform(), "tester", stuck.id).await.unwrap();
    assert_eq!(stage.bench.operations.outcome(retried.id, PATIENCE).await.unwrap().state, OperationState::Cancelled);
    assert_eq!(stage.workload().image, before.image);
    let seen = stage.bench.runtime.observe(&name(stage.env_id)).await.unwrap().unwrap();
    assert!(seen.instances.iter().all(|instance| instance.state.is_up()), "{seen:?}");
}
