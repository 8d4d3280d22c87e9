//! A runtime that keeps everything in memory, for tests of whoever uses one.
//!
//! It behaves as Docker does where that matters (the conformance suite runs on both), keeps a journal of every
//! call, and fails where it is told to: before an effect, after it (the reply is lost), or by never answering.

mod world;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use convergence_model::EnvId;
use convergence_model::build::{BaseImage, BuildLine, ImageBuild};
use convergence_model::workload::{Network, Workload};
use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};

use self::world::World;
use crate::error::RuntimeError;
use crate::owner::Owner;
use crate::runtime::{
    ChangeStream, Changed, Deviation, EngineInfo, Ensured, ImageRemoval, LogLine, LogQuery, LogStream, Observed, Owned,
    Progress, Ready, Removal, Runtime, Usage,
};

/// Changes a listener may fall behind.
const CHANGES: usize = 1024;

/// How one call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The error comes back and nothing has happened.
    Before(RuntimeError),
    /// The effect happens and the error comes back: a lost reply.
    After(RuntimeError),
    /// Nothing happens and nothing comes back, ever.
    HangBefore,
    /// The effect happens and nothing comes back, ever.
    HangAfter,
}

/// How containers fare once they are started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Readiness {
    /// They answer their probe at once.
    #[default]
    Ready,
    /// They run and never answer it.
    Never,
    /// They end.
    Exits {
        /// The exit code.
        code: i64,
        /// Whether memory was the reason.
        oom: bool,
    },
}

/// One call, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the method of [`Runtime`].
    pub method: &'static str,
    /// The name of what it was about; empty where it was about nothing in particular.
    pub subject: String,
}

/// The scriptable runtime.
#[derive(Debug)]
pub struct FakeRuntime {
    world: Mutex<World>,
    called: Notify,
    changes: broadcast::Sender<Changed>,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self { world: Mutex::default(), called: Notify::default(), changes: broadcast::channel(CHANGES).0 }
    }
}

impl FakeRuntime {
    /// An engine with nothing in it, on which everything succeeds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next call of `method` go wrong. Told twice, the next two calls do, in that order.
    pub fn next(&self, method: &'static str, fault: Fault) {
        self.world().faults.entry(method).or_default().push_back(fault);
    }

    /// Makes the `n`-th call from now on, of whichever method, go wrong; the next one is the first.
    pub fn nth(&self, n: usize, fault: Fault) {
        let mut world = self.world();
        let at = world.journal.len() + n;
        world.faults_at.insert(at, fault);
    }

    /// Makes every call of every method fail, or with `None` none any more: an engine that is down.
    pub fn down(&self, error: Option<RuntimeError>) {
        self.world().down = error;
    }

    /// Takes back every fault that has not happened yet.
    pub fn forget_faults(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.faults_at.clear();
    }

    /// How containers fare from now on when [`Runtime::wait_ready`] looks at them.
    pub fn readiness(&self, readiness: Readiness) {
        self.world().readiness = readiness;
    }

    /// Puts an image into the engine, as if it had been pulled.
    pub fn add_image(&self, reference: &str) {
        self.world().pull(reference);
    }

    /// Lets another program of the host listen on a port.
    pub fn take_port(&self, port: u16) {
        self.world().taken_ports.insert(port);
    }

    /// Frees what [`FakeRuntime::take_port`] took.
    pub fn free_port(&self, port: u16) {
        self.world().taken_ports.remove(&port);
    }

    /// Lets a container print a line.
    pub fn print(&self, name: &str, text: &str) {
        self.world().print(name, text);
    }

    /// Ends a container.
    pub fn crash(&self, name: &str, code: i64, oom: bool) {
        let tenant = self.world().tenant_of(name);
        self.world().crash(name, code, oom);
        self.tell(tenant, "die");
    }

    /// Changes a container by hand, so that [`Runtime::verify`] finds it.
    pub fn tamper(&self, name: &str, field: &str) {
        let tenant = self.world().tenant_of(name);
        self.world().tamper(name, field);
        self.tell(tenant, "update");
    }

    /// Removes a container behind everybody's back.
    pub fn lose(&self, name: &str) {
        let tenant = self.world().tenant_of(name);
        self.world().containers.remove(name);
        self.tell(tenant, "destroy");
    }

    /// Lets every call take this long from now on.
    pub fn latency(&self, latency: Duration) {
        self.world().latency = latency;
    }

    fn tell(&self, tenant: Option<EnvId>, action: &str) {
        if let Some(tenant) = tenant {
            // Nobody listening is not an error.
            let _ = self.changes.send(Changed { tenant, action: action.to_owned() });
        }
    }

    /// Every call so far, oldest first.
    pub fn journal(&self) -> Vec<Call> {
        self.world().journal.clone()
    }

    /// Begins a new journal.
    pub fn forget_journal(&self) {
        let mut world = self.world();
        world.journal.clear();
        world.faults_at.clear();
    }

    /// The workload a container was created from.
    pub fn workload(&self, name: &str) -> Option<Workload> {
        self.world().containers.get(name).map(|container| container.workload.clone())
    }

    /// What was built under a tag.
    pub fn built(&self, tag: &str) -> Option<ImageBuild> {
        self.world().images.get(tag).and_then(|image| image.build.clone())
    }

    /// Returns once the journal holds a call of `method`; also one that hangs.
    pub async fn called(&self, method: &str) {
        loop {
            // Registered before looking, so that no call slips through in between.
            let mut next = std::pin::pin!(self.called.notified());
            next.as_mut().enable();
            if self.world().journal.iter().any(|call| call.method == method) {
                return;
            }
            next.await;
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A test that panics while it holds the lock should not hide its own message behind this one.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call: noted, gone wrong where it was to, and otherwise carried out.
    async fn act<T>(
        &self,
        method: &'static str,
        subject: &str,
        effect: impl FnOnce(&mut World) -> Result<T, RuntimeError>,
    ) -> Result<T, RuntimeError> {
        let (fault, down, latency) = {
            let mut world = self.world();
            world.journal.push(Call { method, subject: subject.to_owned() });
            (world.fault(method), world.down.clone(), world.latency)
        };
        self.called.notify_waiters();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if let Some(error) = down {
            return Err(error);
        }
        match fault {
            None => effect(&mut self.world()),
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::HangBefore) => pending().await,
            Some(Fault::After(error)) => {
                let _ = effect(&mut self.world());
                Err(error)
            }
            Some(Fault::HangAfter) => {
                let _ = effect(&mut self.world());
                pending().await
            }
        }
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn engine(&self) -> Result<EngineInfo, RuntimeError> {
        self.act("engine", "", |_| {
            Ok(EngineInfo {
                name: "fake".to_owned(),
                version: "1".to_owned(),
                api_version: "1".to_owned(),
                buildkit: true,
                cgroup_version: "2".to_owned(),
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

    async fn image_id(&self, reference: &str) -> Result<Option<String>, RuntimeError> {
        self.act("image_id", reference, |world| Ok(world.images.get(reference).map(|image| image.id.clone()))).await
    }

    async fn base_image(&self, reference: &str, progress: Progress<'_>) -> Result<BaseImage, RuntimeError> {
        let (base, pulled) = self.act("base_image", reference, |world| Ok(world.base(reference))).await?;
        if pulled {
            progress(BuildLine { step: String::new(), text: format!("pulling {reference}") });
        }
        Ok(base)
    }

    async fn build(&self, build: &ImageBuild, progress: Progress<'_>) -> Result<String, RuntimeError> {
        progress(BuildLine { step: "[1/1] FROM".to_owned(), text: "started".to_owned() });
        let id = self.act("build", &build.tag, |world| Ok(world.build(build))).await?;
        progress(BuildLine { step: "[1/1] FROM".to_owned(), text: "done".to_owned() });
        Ok(id)
    }

    async fn ensure_network(
        &self,
        network: &Network,
        labels: &BTreeMap<String, String>,
    ) -> Result<Ensured, RuntimeError> {
        self.act("ensure_network", &network.name, |world| world.ensure_network(network, labels)).await
    }

    async fn remove_network(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.act("remove_network", name, |world| world.remove_network(name, owner)).await
    }

    async fn ensure_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<Ensured, RuntimeError> {
        self.act("ensure_volume", name, |world| world.ensure_volume(name, labels)).await
    }

    async fn remove_volume(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.act("remove_volume", name, |world| world.remove_volume(name, owner)).await
    }

    async fn ensure_container(&self, workload: &Workload) -> Result<Ensured, RuntimeError> {
        self.act("ensure_container", &workload.name, |world| world.ensure_container(workload)).await
    }

    async fn start(&self, name: &str) -> Result<(), RuntimeError> {
        self.act("start", name, |world| world.start(name)).await
    }

    async fn stop(&self, name: &str, owner: Owner<'_>, _grace: Duration) -> Result<(), RuntimeError> {
        self.act("stop", name, |world| {
            world.stop(name, owner);
            Ok(())
        })
        .await
    }

    async fn remove_container(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        self.act("remove_container", name, |world| Ok(world.remove_container(name, owner))).await
    }

    async fn inspect(&self, name: &str) -> Result<Option<Observed>, RuntimeError> {
        self.act("inspect", name, |world| Ok(world.observe(name))).await
    }

    async fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        self.act("verify", &workload.name, |world| world.verify(workload)).await
    }

    async fn wait_ready(&self, workload: &Workload, patience: Duration) -> Result<Ready, RuntimeError> {
        self.act("wait_ready", &workload.name, |world| world.wait_ready(&workload.name, patience)).await
    }

    async fn exec(&self, name: &str, _command: &[String], _limit: Duration) -> Result<i64, RuntimeError> {
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
            Ok(Usage { cpu_percent: 1.0, cpu_nanos: 1_000_000, memory_bytes: 10 * 1024 * 1024 })
        })
        .await
    }

    async fn remove_image(&self, reference: &str, instance: &str) -> Result<ImageRemoval, RuntimeError> {
        self.act("remove_image", reference, |world| Ok(world.remove_image(reference, instance))).await
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
