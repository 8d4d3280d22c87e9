//! The methods of the two traits, each of which is one or several calls.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::build::{BaseImage, BuildLine, Declared, ImageBuild};
use convergence_model::workload::{Boundary, Workload};
use futures_util::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::{FakeRuntime, images};
use crate::builder::{Builder, ImageRemoval, Progress, Pull};
use crate::capability::{Capabilities, Capability};
use crate::error::RuntimeError;
use crate::observed::{Deviation, Observed, Usage};
use crate::owned::{Owned, OwnedItem};
use crate::owner::Owner;
use crate::runtime::{
    ChangeStream, Desired, EngineInfo, Ensured, LOCAL_NODE, LogLine, LogQuery, LogStream, Node, Output, Placement,
    Ready, Removal, Runtime,
};
use crate::single::{self, Containers, Found};

#[async_trait]
impl Builder for FakeRuntime {
    async fn ping(&self) -> Result<(), RuntimeError> {
        self.act("ping", "", |_| Ok(())).await
    }

    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        self.act("image_id", reference, |world| Ok(world.images.get(reference).map(|image| image.id.clone()))).await
    }

    async fn declared(&self, reference: &str) -> Result<Option<Declared>, RuntimeError> {
        self.act("declared", reference, |world| Ok(world.images.contains_key(reference).then(images::declared))).await
    }

    async fn base_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        self.world().asked(reference, pull);
        let (base, pulled) = self.act("base_image", reference, |world| Ok(world.base(reference))).await?;
        if pulled {
            progress(BuildLine { step: String::new(), text: format!("pulling {reference}") });
        }
        Ok(base)
    }

    async fn newest_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        self.world().asked(reference, pull);
        progress(BuildLine { step: String::new(), text: format!("pulling {reference}") });
        self.act("newest_image", reference, |world| Ok(world.base(reference).0)).await
    }

    async fn build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError> {
        progress(BuildLine { step: "[1/1] FROM".to_owned(), text: "started".to_owned() });
        let id = self.act("build", &build.tag, |world| Ok(world.build(build))).await?;
        progress(BuildLine { step: "[1/1] FROM".to_owned(), text: "done".to_owned() });
        Ok(id)
    }

    async fn publish(&self, tag: &str) -> Result<String, RuntimeError> {
        self.act("publish", tag, |_| Ok(tag.to_owned())).await
    }

    async fn remove_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError> {
        self.act("remove_image", reference, |world| Ok(world.remove_image(reference, instance))).await
    }

    async fn prune_cache(&self, keep_bytes: u64, _unused_for: Duration) -> Result<u64, RuntimeError> {
        self.act("prune_cache", &keep_bytes.to_string(), |_| Ok(0)).await
    }

    async fn owned_images(&self, instance: &str) -> Result<Vec<OwnedItem>, RuntimeError> {
        self.act("owned_images", instance, |world| Ok(world.owned_images(instance))).await
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn engine(&self) -> Result<EngineInfo, RuntimeError> {
        self.act("engine", "", |_| {
            Ok(EngineInfo {
                name: "fake".to_owned(),
                version: "1".to_owned(),
                api_version: "1".to_owned(),
                buildkit: true,
                cgroup_version: "2".to_owned(),
                cgroup_driver: "cgroupfs".to_owned(),
                storage_driver: "memory".to_owned(),
                security_options: Vec::new(),
                root_dir: "/nowhere".to_owned(),
                architecture: "amd64".to_owned(),
                cpus: Some(64),
                memory_mb: Some(1 << 20),
            })
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError> {
        self.act("nodes", "", |_| {
            Ok(vec![Node {
                id: LOCAL_NODE.to_owned(),
                name: "fake".to_owned(),
                ready: true,
                address: None,
                cpus: 2,
                memory_bytes: 8 << 30,
            }])
        })
        .await
    }

    async fn ensure_boundary(
        &self,
        boundary: &Boundary,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        self.act("ensure_boundary", &boundary.name, |world| world.ensure_boundary(boundary, labels)).await
    }

    async fn remove_boundary(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.act("remove_boundary", name, |world| world.remove_boundary(name, owner)).await
    }

    async fn ensure_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Ensured, RuntimeError> {
        self.act("ensure_volume", name, |world| world.ensure_volume(name, labels)).await
    }

    async fn remove_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.act("remove_volume", name, |world| world.remove_volume(name, owner)).await
    }

    async fn volume_sizes(&self, instance: &str) -> Result<BTreeMap<String, Option<u64>>, RuntimeError> {
        self.act("volume_sizes", instance, |world| Ok(world.volume_sizes(instance))).await
    }

    async fn ensure(&self, workload: &Workload, desired: Desired) -> Result<Placement, RuntimeError> {
        self.capabilities.allow(workload, desired)?;
        let placement = single::ensure(self, workload, desired).await?;
        if let Desired::Running { replicas } = desired {
            // The instances of one container of the fake differ in nothing, so there is nothing in between that could fail.
            self.world().scale(&workload.name, replicas.get());
        }
        Ok(placement)
    }

    async fn resize(&self, workload: &Workload) -> Result<(), RuntimeError> {
        self.capabilities.require(Capability::LiveLimits)?;
        self.act("resize", &workload.name, |world| world.resize(workload)).await
    }

    async fn stop(&self, name: &str, owner: Owner<'_>, _grace: Duration) -> Result<(), RuntimeError> {
        self.act("stop", name, |world| {
            world.stop(name, owner);
            Ok(())
        })
        .await
    }

    async fn remove(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.act("remove", name, |world| Ok(world.remove(name, owner))).await
    }

    async fn observe(&self, name: &str) -> Result<Option<Observed>, RuntimeError> {
        self.act("observe", name, |world| Ok(world.observe(name))).await
    }

    async fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        self.act("verify", &workload.name, |world| world.verify(workload)).await
    }

    async fn wait_ready(&self, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError> {
        self.act("wait_ready", &workload.name, |world| world.wait_ready(&workload.name, patience)).await
    }

    async fn exec(
        &self,
        name: &str,
        _command: &[String],
        _limit: Duration,
        _output: Output<'_>,
    ) -> Result<i64, RuntimeError> {
        self.capabilities.require(Capability::Exec)?;
        self.act("exec", name, |world| world.running(name).map(|_| 0)).await
    }

    async fn logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError> {
        self.act("logs", name, |world| world.logs(name, query)).await
    }

    async fn follow_logs(&self, name: &str, query: &LogQuery) -> Result<LogStream, RuntimeError> {
        let lines = self.act("follow_logs", name, |world| world.logs(name, query)).await?;
        Ok(stream::iter(lines.into_iter().map(Ok)).boxed())
    }

    async fn stats(&self, name: &str) -> Result<Usage, RuntimeError> {
        self.act("stats", name, |world| {
            world.running(name)?;
            Ok(Usage { cpu_nanos: 1_000_000, memory_bytes: 10 * 1024 * 1024 })
        })
        .await
    }

    async fn owned(&self, instance: &str) -> Result<Owned, RuntimeError> {
        self.act("owned", instance, |world| Ok(world.owned(instance))).await
    }

    async fn changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError> {
        let changes = self.changes.subscribe();
        self.act("changes", instance, |_| Ok(())).await?;
        let changes = stream::unfold(changes, |mut changes| async move {
            loop {
                match changes.recv().await {
                    Ok(change) => return Some((Ok(change), changes)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        Ok(changes.boxed())
    }
}

impl Containers for FakeRuntime {
    async fn find(&self, workload: &Workload) -> Result<Option<Found>, RuntimeError> {
        self.act("find", &workload.name, |world| Ok(world.find(workload))).await
    }

    async fn create(&self, workload: &Workload) -> Result<bool, RuntimeError> {
        self.act("create", &workload.name, |world| world.create(workload)).await
    }

    async fn check(&self, workload: &Workload) -> Result<Option<Found>, RuntimeError> {
        self.act("check", &workload.name, |world| Ok(world.find(workload))).await
    }

    async fn start(&self, workload: &Workload, id: &str) -> Result<bool, RuntimeError> {
        self.act("start", &workload.name, |world| world.start(&workload.name, id)).await
    }

    async fn halt(&self, workload: &Workload, id: &str, _grace: Duration) -> Result<(), RuntimeError> {
        self.act("halt", &workload.name, |world| {
            world.halt(&workload.name, id);
            Ok(())
        })
        .await
    }

    async fn discard(&self, workload: &Workload, id: &str) -> Result<(), RuntimeError> {
        self.act("discard", &workload.name, |world| {
            world.discard(&workload.name, id);
            Ok(())
        })
        .await
    }
}
