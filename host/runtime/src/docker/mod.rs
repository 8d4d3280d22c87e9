//! Docker, through its API. The only user of bollard; one file a concern.

mod bounds;
mod build;
mod cache;
mod changes;
mod connect;
mod container;
mod context;
mod exec;
mod images;
mod inspect;
mod logs;
mod network;
mod owned;
mod progress;
mod pull;
mod raw;
mod routes;
mod sizes;
mod stats;
mod verify;
mod volume;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::build::{BaseImage, Declared, ImageBuild};
use convergence_model::workload::{Boundary, Workload};

pub use bounds::BuildBounds;
pub use connect::{Docker, DockerConfig};

use crate::builder::{Builder, ImageRemoval, Progress, Pull};
use crate::capability::{Capabilities, Capability, Enforcer};
use crate::error::RuntimeError;
use crate::observed::{Deviation, Observed, Usage};
use crate::owned::{Owned, OwnedItem};
use crate::owner::Owner;
use crate::probe;
use crate::runtime::{
    ChangeStream, Desired, EngineInfo, Ensured, LogLine, LogQuery, LogStream, Node, Output, Placement, Ready, Removal,
    Runtime,
};
use crate::single;

/// One engine: containers one at a time, each on a bridge of its tenant's own. A name and a port have one holder, so nothing
/// starts before what it replaces stopped. Docker's disk quotas need a file system that few machines have.
const CAPABILITIES: Capabilities = Capabilities {
    live_limits: true,
    host_ports: true,
    start_first: false,
    exec: true,
    replicas: false,
    leased_addresses: true,
    boundary: Enforcer::Engine,
    disk_quota: false,
};

impl Docker {
    async fn answers(&self) -> Result<(), RuntimeError> {
        match self.call("answer", |client| async move { client.ping().await }).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.into_error(self)),
        }
    }
}

#[async_trait]
impl Builder for Docker {
    async fn ping(&self) -> Result<(), RuntimeError> {
        self.answers().await
    }

    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        Ok(self.find_image(reference).await?.and_then(|image| image.id))
    }

    async fn declared(&self, reference: &str) -> Result<Option<Declared>, RuntimeError> {
        Ok(self.find_image(reference).await?.map(images::declared))
    }

    async fn base_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        self.resolve_base_image(reference, pull, progress).await
    }

    async fn newest_image(
        &self,
        reference: &str,
        pull: &Pull,
        progress: Progress<'_>,
    ) -> Result<BaseImage, RuntimeError> {
        self.resolve_newest_image(reference, pull, progress).await
    }

    async fn build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError> {
        self.build_image(build, progress).await
    }

    async fn publish(&self, tag: &str) -> Result<String, RuntimeError> {
        Ok(tag.to_owned())
    }

    async fn remove_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError> {
        self.delete_image(reference, instance).await
    }

    async fn prune_cache(&self, keep_bytes: u64, unused_for: Duration) -> Result<u64, RuntimeError> {
        self.prune_cache(keep_bytes, unused_for).await
    }

    async fn owned_images(&self, instance: &str) -> Result<Vec<OwnedItem>, RuntimeError> {
        self.list_owned_images(instance).await
    }
}

#[async_trait]
impl Runtime for Docker {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    async fn engine(&self) -> Result<EngineInfo, RuntimeError> {
        self.engine_info().await
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        self.answers().await
    }

    async fn nodes(&self) -> Result<Vec<Node>, RuntimeError> {
        Ok(vec![self.node().await?])
    }

    async fn ensure_boundary(
        &self,
        boundary: &Boundary,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        self.make_sure_of_boundary(boundary, labels).await
    }

    async fn remove_boundary(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.delete_boundary(name, owner).await
    }

    async fn ensure_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Ensured, RuntimeError> {
        self.make_sure_of_volume(name, labels).await
    }

    async fn remove_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.delete_volume(name, owner).await
    }

    async fn volume_sizes(&self, instance: &str) -> Result<BTreeMap<String, Option<u64>>, RuntimeError> {
        self.measure_volumes(instance).await
    }

    async fn ensure(&self, workload: &Workload, desired: Desired) -> Result<Placement, RuntimeError> {
        CAPABILITIES.allow(workload, desired)?;
        single::ensure(self, workload, desired).await
    }

    async fn resize(&self, workload: &Workload) -> Result<(), RuntimeError> {
        CAPABILITIES.require(Capability::LiveLimits)?;
        self.resize_container(workload).await
    }

    async fn stop(&self, name: &str, owner: Owner<'_>, grace: Duration) -> Result<(), RuntimeError> {
        self.stop_container(name, owner, grace).await
    }

    async fn remove(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.delete_container(name, owner).await
    }

    async fn observe(&self, name: &str) -> Result<Option<Observed>, RuntimeError> {
        self.observe_container(name).await
    }

    async fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        self.compare(workload).await
    }

    async fn wait_ready(&self, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError> {
        probe::wait_ready(self, workload, patience).await
    }

    async fn exec(
        &self,
        name: &str,
        command: &[String],
        limit: Duration,
        output: Output<'_>,
    ) -> Result<i64, RuntimeError> {
        CAPABILITIES.require(Capability::Exec)?;
        self.run_inside(name, command, limit, output).await
    }

    async fn logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError> {
        self.read_logs(name, query).await
    }

    async fn follow_logs(&self, name: &str, query: &LogQuery) -> Result<LogStream, RuntimeError> {
        self.open_logs(name, query, true).await
    }

    async fn stats(&self, name: &str) -> Result<Usage, RuntimeError> {
        self.measure(name).await
    }

    async fn owned(&self, instance: &str) -> Result<Owned, RuntimeError> {
        self.list_owned(instance).await
    }

    async fn changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError> {
        self.follow_changes(instance).await
    }
}
