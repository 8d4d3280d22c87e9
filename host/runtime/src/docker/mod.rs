//! Docker, through its API. The only user of bollard; one file a concern.

mod build;
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
mod stats;
mod verify;
mod volume;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::build::{BaseImage, ImageBuild};
use convergence_model::workload::{Network, Workload};

pub use connect::{Docker, DockerConfig};

use crate::error::RuntimeError;
use crate::owner::Owner;
use crate::probe;
use crate::runtime::{
    ChangeStream, Deviation, EngineInfo, Ensured, ImageRemoval, LogLine, LogQuery, LogStream, Observed, Owned,
    Progress, Ready, Removal, Runtime, Usage,
};

#[async_trait]
impl Runtime for Docker {
    async fn engine(&self) -> Result<EngineInfo, RuntimeError> {
        self.engine_info().await
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        match self.call("answer", |client| async move { client.ping().await }).await {
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        Ok(self.find_image(reference).await?.and_then(|image| image.id))
    }

    async fn base_image(&self, reference: &str, progress: Progress<'_>) -> Result<BaseImage, RuntimeError> {
        self.resolve_base_image(reference, progress).await
    }

    async fn build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError> {
        self.build_image(build, progress).await
    }

    async fn ensure_network(
        &self,
        network: &Network,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        self.make_sure_of_network(network, labels).await
    }

    async fn remove_network(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.delete_network(name, owner).await
    }

    async fn ensure_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Ensured, RuntimeError> {
        self.make_sure_of_volume(name, labels).await
    }

    async fn remove_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.delete_volume(name, owner).await
    }

    async fn ensure_container(&self, workload: &Workload) -> Result<Ensured, RuntimeError> {
        self.make_sure_of_container(workload).await
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        self.start_container(name).await
    }

    async fn stop(&self, name: &str, owner: Owner<'_>, grace: Duration) -> Result<(), RuntimeError> {
        self.stop_container(name, owner, grace).await
    }

    async fn remove_container(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.delete_container(name, owner).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Observed>, RuntimeError> {
        self.observe(name).await
    }

    async fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        self.compare(workload).await
    }

    async fn wait_ready(&self, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError> {
        probe::wait_ready(self, workload, patience).await
    }

    async fn exec(&self, name: &str, command: &[String], limit: Duration) -> Result<i64, RuntimeError> {
        self.run_inside(name, command, limit).await
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

    async fn remove_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError> {
        self.delete_image(reference, instance).await
    }

    async fn changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError> {
        self.follow_changes(instance).await
    }

    async fn owned(&self, instance: &str) -> Result<Owned, RuntimeError> {
        self.list_owned(instance).await
    }
}
