//! The volumes of a tenant: listed with what is in them, and removed by name once no revision mounts them.

use std::time::Duration;

use convergence_model::operation::{Operation, OperationState};
use convergence_model::plan::Volume;
use convergence_model::tenant::TenantStatus;
use convergence_model::{Code, EnvId, OperationId, Scope};
use convergence_provision::{LookError, VolumeError, VolumeReport, kind};
use convergence_runtime::fake::Fault;
use convergence_runtime::{Runtime, RuntimeError};
use convergence_store::{NewDeployment, NewRevision};
use convergence_work::RequestError;

use crate::bench::{INSTANCE, labels};
use crate::deployments::Stage;
use crate::refused;
use crate::table::name;

const PATIENCE: Duration = Duration::from_secs(60);

fn away() -> RuntimeError {
    RuntimeError::Unreachable { socket: "/s".into(), cause: "gone".into(), hint: "wait".into() }
}

impl Stage {
    /// Begins to deploy the revision that runs once more, with these volumes. No template that the tests have asks for any.
    async fn begin_to_mount(&self, volumes: &[&str]) -> OperationId {
        let (scope, tenant) = (Scope::platform(), self.tenant().await);
        let mut current = self.bench.store.current_revision(&scope, tenant.id).await.unwrap().unwrap();
        let volume = |name: &&str| Volume { name: (*name).to_owned(), path: format!("/{name}") };
        current.plan.service.volumes = volumes.iter().map(volume).collect();
        let new = NewDeployment {
            spec: current.spec,
            revision: NewRevision {
                accepted_at: jiff::Timestamp::UNIX_EPOCH,
                plan: current.plan,
                plugins: current.plugins,
                limits: current.limits,
                reason: String::new(),
                restores: None,
                built: current.built,
                container: None,
            },
            operation: self.bench.operations.new_operation(&kind::DEPLOY, serde_json::json!({}), "test"),
            action: "tenant.deploy",
            verb: convergence_model::Verb::Deploy,
            starts: true,
            waits: true,
            base: self.bench.provisioner.wanted(&scope, self.env_id).await.unwrap().unwrap().base,
            secrets: Vec::new(),
            backlog_max: u32::MAX,
        };
        let begun = self.bench.store.begin_deployment(&scope, self.env_id, &new).await.unwrap().unwrap();
        self.bench.operations.queued(kind::DEPLOY.lane);
        begun.operation.id
    }

    async fn mount(&self, volumes: &[&str]) {
        let begun = self.begin_to_mount(volumes).await;
        let deployed = self.over(begun).await;
        assert_eq!(deployed.state, OperationState::Succeeded, "{:?}", deployed.failure);
    }

    async fn over(&self, operation: OperationId) -> Operation {
        self.bench.operations.outcome(operation, PATIENCE).await.unwrap()
    }

    async fn volumes(&self) -> Vec<VolumeReport> {
        self.bench.provisioner.volumes(&Scope::platform(), self.env_id).await.unwrap().unwrap()
    }

    async fn begin_to_remove(&self, volume: &str) -> Result<OperationId, VolumeError> {
        let (scope, caller) = (Scope::platform(), &self.bench.site.caller);
        let begun = self.bench.provisioner.remove_volume(&scope, caller, self.env_id, volume).await?;
        assert_eq!(begun.kind, "remove-volume");
        Ok(begun.id)
    }

    async fn remove_volume(&self, volume: &str) -> Result<Operation, VolumeError> {
        let begun = self.begin_to_remove(volume).await?;
        Ok(self.over(begun).await)
    }

    /// The name of a volume in the engine.
    fn of_engine(&self, volume: &str) -> String {
        format!("{}-{volume}", name(self.env_id))
    }

    /// What is in the engine.
    async fn there(&self) -> Vec<String> {
        let owned = self.bench.runtime.owned(INSTANCE).await.unwrap();
        owned.volumes.into_iter().map(|volume| volume.name).collect()
    }

    fn removals(&self) -> usize {
        self.bench.runtime.journal().iter().filter(|call| call.method == "remove_volume").count()
    }
}

#[tokio::test]
async fn a_volume_is_removed_by_its_name_once_the_revision_that_runs_does_not_mount_it() {
    let stage = Stage::new().await;
    assert_eq!(stage.volumes().await, []);
    stage.mount(&["data", "cache"]).await;
    let (data, cache) = (stage.of_engine("data"), stage.of_engine("cache"));
    stage.bench.runtime.fill(&data, Some(5 << 20));
    stage.bench.runtime.fill(&cache, None);
    // Another tenant's, and one that carries this tenant's labels under a name of its own.
    stage.bench.runtime.ensure_volume("t-99-data", &labels(99)).await.unwrap();
    stage.bench.runtime.ensure_volume("by-hand", &labels(stage.env_id.0)).await.unwrap();
    let report = |name: &str, path: Option<&str>, engine_name: &str, size| VolumeReport {
        name: name.to_owned(),
        path: path.map(str::to_owned),
        engine_name: engine_name.to_owned(),
        size,
        in_use: path.is_some(),
    };
    let expected = [
        report("data", Some("/data"), &data, Some(5 << 20)),
        report("cache", Some("/cache"), &cache, None),
        report("by-hand", None, "by-hand", Some(0)),
    ];
    assert_eq!(stage.volumes().await, expected);

    stage.bench.runtime.forget_journal();
    for mounted in ["data", data.as_str()] {
        let refused = stage.begin_to_remove(mounted).await.unwrap_err();
        assert!(matches!(&refused, VolumeError::InUse { name } if name == mounted), "{refused:?}");
    }
    stage.mount(&["cache"]).await;
    let expected = [
        report("cache", Some("/cache"), &cache, None),
        report("by-hand", None, "by-hand", Some(0)),
        report("data", None, &data, Some(5 << 20)),
    ];
    assert_eq!(stage.volumes().await, expected);
    for unknown in ["other", "../x", "", "/", "t-99-data", "99-data", "dat"] {
        let refused = stage.begin_to_remove(unknown).await.unwrap_err();
        assert!(matches!(refused, VolumeError::Absent), "{unknown:?}: {refused:?}");
    }
    assert_eq!(stage.removals(), 0);

    let before = (stage.tenant().await.status, stage.workload());
    for unused in ["data", "by-hand"] {
        let removed = stage.remove_volume(unused).await.unwrap();
        assert_eq!(removed.state, OperationState::Succeeded, "{:?}", removed.failure);
        assert!(matches!(stage.begin_to_remove(unused).await, Err(VolumeError::Absent)), "it is gone");
    }
    assert_eq!((stage.tenant().await.status, stage.workload()), before, "the app is not touched");
    assert_eq!(stage.there().await, [cache.as_str(), "t-99-data"]);
}

#[tokio::test]
async fn a_rollback_to_a_revision_whose_volume_was_removed_gets_a_new_one() {
    let stage = Stage::new().await;
    stage.mount(&["data"]).await;
    stage.mount(&[]).await;
    assert_eq!(stage.remove_volume("data").await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.there().await, Vec::<String>::new());
    assert_eq!(stage.rollback(2).await.unwrap().state, OperationState::Succeeded);
    assert_eq!(stage.there().await, [stage.of_engine("data")]);
    assert!(stage.volumes().await[0].in_use);
}

#[tokio::test]
async fn a_volume_that_a_deployment_under_way_mounts_is_kept() {
    let stage = Stage::new().await;
    stage.mount(&["data"]).await;
    stage.mount(&[]).await;
    assert!(!stage.volumes().await[0].in_use);
    stage.bench.runtime.forget_journal();
    stage.bench.runtime.next("ensure_volume", Fault::HangBefore);
    stage.begin_to_mount(&["data"]).await;
    stage.bench.runtime.called("ensure_volume").await;
    let [volume] = &stage.volumes().await[..] else { panic!("there is one") };
    assert!(volume.in_use && volume.path.as_deref() == Some("/data"), "{volume:?}");
    assert!(matches!(stage.begin_to_remove("data").await, Err(VolumeError::InUse { .. })));
}

/// A deployment that is accepted while the removal is under way waits for it, and finds its data.
#[tokio::test]
async fn a_removal_looks_again_whether_its_volume_is_mounted() {
    let stage = Stage::new().await;
    stage.mount(&["data"]).await;
    stage.mount(&[]).await;
    stage.bench.runtime.forget_journal();
    (0..50).for_each(|_| stage.bench.runtime.next("remove_volume", Fault::Before(away())));
    let removal = stage.begin_to_remove("data").await.unwrap();
    stage.bench.runtime.called("remove_volume").await;
    let deployment = stage.begin_to_mount(&["data"]).await;
    let failed = stage.over(removal).await;
    assert_eq!((failed.state, failed.failure.unwrap().code.code()), (OperationState::Failed, Code::VolumeInUse));
    stage.bench.runtime.forget_faults();
    assert_eq!(stage.over(deployment).await.state, OperationState::Succeeded);
    assert_eq!(
        (stage.there().await, stage.tenant().await.status),
        (vec![stage.of_engine("data")], TenantStatus::Running)
    );
}

#[tokio::test]
async fn an_engine_that_does_not_tell_sizes_leaves_them_out_and_one_that_is_away_fails_the_question() {
    let stage = Stage::new().await;
    stage.mount(&["data"]).await;
    let scope = Scope::platform();
    assert_eq!(stage.bench.provisioner.volumes(&scope, EnvId(99)).await.unwrap(), None);
    let absent = stage.bench.provisioner.remove_volume(&scope, &stage.bench.site.caller, EnvId(99), "data").await;
    assert!(matches!(absent, Err(VolumeError::Request(RequestError::Absent))), "{absent:?}");
    stage.bench.runtime.next("owned", Fault::Before(away()));
    let failed = stage.bench.provisioner.volumes(&scope, stage.env_id).await;
    assert!(matches!(failed, Err(LookError::Engine(_))), "{failed:?}");
    stage.bench.runtime.forget_journal();
    stage.bench.runtime.next("volume_sizes", Fault::Before(refused()));
    for _ in 0..3 {
        assert_eq!(stage.volumes().await[0].size, None);
    }
    let asked = stage.bench.runtime.journal().iter().filter(|call| call.method == "volume_sizes").count();
    assert_eq!(asked, 1, "the disk is not walked for each request");
}
