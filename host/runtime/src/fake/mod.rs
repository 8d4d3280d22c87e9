//! A builder and runtime that keeps everything in memory, for tests of the code that uses one.
//!
//! It behaves as Docker does where that matters (the conformance suite runs on both), keeps a journal of every
//! call, and fails where it is told to: before an effect, after it (the reply is lost), or by never answering.
//!
//! [`Runtime::ensure`] is one method and several effects, each of which is a call here and may fail on its own, as each is a
//! request to a real engine: `find`, then `halt` and `discard` of what is replaced, `create`, `check`, and `start` or `halt`.

mod images;
mod runtime;
mod volumes;
mod world;

use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use convergence_model::build::ImageBuild;
use convergence_model::workload::Workload;
use tokio::sync::{Notify, broadcast};

use self::world::World;
use crate::builder::Pull;
use crate::capability::{Capabilities, Enforcer};
use crate::error::RuntimeError;
use crate::observed::{Change, Changed, HealthStatus};

/// Changes a listener may fall behind.
const CHANGES: usize = 1024;

/// What the fake can do: it runs nothing, so there is nothing to run a command in and no traffic to keep apart.
pub const CAPABILITIES: Capabilities = Capabilities {
    live_limits: true,
    host_ports: true,
    start_first: false,
    exec: false,
    replicas: true,
    leased_addresses: true,
    boundary: Enforcer::Nobody,
    disk_quota: false,
};

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

/// A capability that the fake claims and then does not have, so that the conformance suite can be seen to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkept {
    /// A resize succeeds and changes nothing.
    LiveLimits,
    /// Ports are not published, and one that is taken is not reported.
    HostPorts,
    /// There is one instance, however many are asked for.
    Replicas,
    /// Instances get addresses that were not leased, and leases are not compared.
    LeasedAddresses,
}

/// One call, as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The name of the method of [`Runtime`](crate::Runtime) or [`Builder`](crate::Builder), or of one of the effects of
    /// `ensure`.
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
    capabilities: Capabilities,
}

impl Default for FakeRuntime {
    fn default() -> Self {
        Self::claiming(CAPABILITIES)
    }
}

impl FakeRuntime {
    /// An engine with nothing in it, on which everything succeeds.
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine that claims these capabilities, and has those of [`CAPABILITIES`].
    pub fn claiming(capabilities: Capabilities) -> Self {
        let (world, called) = (Mutex::default(), Notify::default());
        Self { world, called, changes: broadcast::channel(CHANGES).0, capabilities }
    }

    /// From now on one capability is claimed and is not there; with `None` all of [`CAPABILITIES`] are.
    pub fn does_not_keep(&self, unkept: Option<Unkept>) {
        self.world().unkept = unkept;
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

    /// Cancels every fault that has not happened yet.
    pub fn forget_faults(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.faults_at.clear();
    }

    /// How containers fare from now on when [`Runtime::wait_ready`](crate::Runtime::wait_ready) looks at them.
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

    /// Puts so many bytes into a volume; with `None` the engine does not tell how many are in it.
    pub fn fill(&self, volume: &str, bytes: Option<u64>) {
        self.world().filled.insert(volume.to_owned(), bytes);
    }

    /// Lets a container print a line.
    pub fn print(&self, name: &str, text: &str) {
        self.world().print(name, text);
    }

    /// Ends a container.
    pub fn crash(&self, name: &str, code: i64, oom: bool) {
        self.world().crash(name, code, oom);
        self.tell(name, Change::Ended { code: Some(code) });
    }

    /// Lets the health check of a container fail until it is started again.
    pub fn hang(&self, name: &str) {
        self.world().hang(name);
        self.tell(name, Change::Health(HealthStatus::Unhealthy));
    }

    /// Changes a container by hand, so that [`Runtime::verify`](crate::Runtime::verify) finds it.
    pub fn tamper(&self, name: &str, field: &str) {
        self.world().tamper(name, field);
        self.tell(name, Change::Altered);
    }

    /// Makes the engine create every container differently from what it is asked for, in this field; or, with `None`, as it
    /// is asked from now on.
    pub fn distort(&self, field: Option<&str>) {
        self.world().distortion = field.map(str::to_owned);
    }

    /// Removes a container without anybody having asked for it.
    pub fn lose(&self, name: &str) {
        let changed = self.world().changed(name, Change::Removed);
        self.world().containers.remove(name);
        // Nobody listening is not an error.
        changed.map(|changed| self.changes.send(changed));
    }

    /// Lets every call take this long from now on.
    pub fn latency(&self, latency: Duration) {
        self.world().latency = latency;
    }

    fn tell(&self, name: &str, change: Change) {
        let changed = self.world().changed(name, change);
        // Nobody listening is not an error.
        changed.map(|changed| self.changes.send(changed));
    }

    /// The names of everything there is of an installation, images included. Not a call: it is not in the journal.
    pub fn left(&self, instance: &str) -> Vec<String> {
        self.world().left(instance)
    }

    /// Every call so far, oldest first.
    pub fn journal(&self) -> Vec<Call> {
        self.world().journal.clone()
    }

    /// Every image that was looked up or pulled so far, and on whose behalf, oldest first.
    pub fn pulls(&self) -> Vec<(String, Pull)> {
        self.world().pulls.clone()
    }

    /// Begins a new journal.
    pub fn forget_journal(&self) {
        let mut world = self.world();
        world.journal.clear();
        world.pulls.clear();
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
