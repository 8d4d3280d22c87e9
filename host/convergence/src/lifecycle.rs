//! From start to end: who runs, who is told to stop, and how long it may take.
//!
//! Every task of the server is spawned here, so that every one is waited for. The first SIGTERM or SIGINT drains: nothing
//! new is accepted, requests and steps under way finish. A second one, or [`DRAIN`] running out, ends at once;
//! operations cut off then go on at the next start. SIGHUP is ignored.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::installation::Lock;

/// How long a drain may take: shorter than the 90 s that service managers wait before they kill.
const DRAIN: Duration = Duration::from_secs(60);

/// The tasks of a running server.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    /// Let go of when the last task has ended, and not before.
    _lock: Lock,
    stop: CancellationToken,
    background: JoinSet<(&'static str, Result<()>)>,
    operations: TaskTracker,
}

impl Lifecycle {
    /// Of a server that holds the lock on its data folder.
    pub(crate) fn owning(lock: Lock) -> Self {
        Self { _lock: lock, stop: CancellationToken::new(), background: JoinSet::new(), operations: TaskTracker::new() }
    }

    /// Cancelled when the drain begins.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Where pieces of work run that a drain lets finish.
    pub(crate) fn operations(&self) -> TaskTracker {
        self.operations.clone()
    }

    /// Runs a task for as long as the server runs. One that ends before the drain takes the server with it:
    /// half a server is worse than none.
    pub(crate) fn run(&mut self, name: &'static str, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.background.spawn(async move { (name, task.await) });
    }

    /// Waits for a signal or for a task to break, then drains.
    ///
    /// # Errors
    /// A task broke, or the drain did not end in time.
    pub(crate) async fn until_stopped(self) -> Result<()> {
        self.until_stopped_while(std::future::ready(())).await
    }

    /// The same, while something else is done meanwhile that a signal cuts short.
    ///
    /// # Errors
    /// As [`Lifecycle::until_stopped`].
    pub(crate) async fn until_stopped_while(mut self, meanwhile: impl Future<Output = ()>) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let hangups = async {
            while hangup.recv().await.is_some() {
                tracing::info!(
                    "SIGHUP is ignored: the configuration is read once, at the start; restart the server to apply a change"
                );
            }
            std::future::pending::<()>().await;
        };
        let stay = async {
            meanwhile.await;
            std::future::pending::<()>().await;
        };
        let broken = tokio::select! {
            () = stay => None,
            () = hangups => None,
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            ended = self.background.join_next() => Some(verdict(ended)),
        };
        tracing::info!("draining: nothing new is accepted, what is under way finishes");
        self.stop.cancel();
        self.operations.close();
        let drain = async {
            while let Some(ended) = self.background.join_next().await {
                ended.context("a task crashed")?.1?;
            }
            self.operations.wait().await;
            Ok::<_, anyhow::Error>(())
        };
        tokio::select! {
            drained = tokio::time::timeout(DRAIN, drain) => match drained {
                Ok(drained) => drained?,
                Err(_) => bail!("the drain took longer than {DRAIN:?}; what was cut off goes on at the next start"),
            },
            _ = terminate.recv() => bail!("stopped at once by a second signal; what was cut off goes on at the next start"),
            _ = interrupt.recv() => bail!("stopped at once by a second signal; what was cut off goes on at the next start"),
        }
        tracing::info!("stopped");
        broken.map_or(Ok(()), Err)
    }
}

/// From now on SIGHUP, which a terminal that is closed and a rotation of logs send, ends nothing: it is logged and ignored.
///
/// # Errors
/// The system refuses.
pub(crate) fn outlive_hangups() -> Result<()> {
    // The handler stays for as long as the process runs, and each listener hears of it.
    signal(SignalKind::hangup()).map(drop).context("cannot listen for SIGHUP")
}

/// Lets this process have as many files open as the system allows at all: a loaded plugin keeps one, a request several. The
/// limit most systems begin with, 1024, is for programs that ask with `select`.
pub(crate) fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn verdict(ended: Option<Result<(&'static str, Result<()>), tokio::task::JoinError>>) -> anyhow::Error {
    match ended {
        Some(Ok((name, Err(error)))) => error.context(format!("the task `{name}` broke")),
        Some(Ok((name, Ok(())))) => anyhow::anyhow!("the task `{name}` ended before it was told to"),
        Some(Err(error)) => anyhow::anyhow!("a task crashed: {error}"),
        None => anyhow::anyhow!("there was nothing to run"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lock() -> Lock {
        let folder = tempfile::tempdir().unwrap();
        Lock::make(&folder.path().join("server")).unwrap()
    }

    /// A lifecycle with one task that stays until it is told to end, and this one.
    async fn beside(task: impl Future<Output = Result<()>> + Send + 'static) -> (Result<()>, bool) {
        let mut lifecycle = Lifecycle::owning(lock());
        let (stop, (tell, told)) = (lifecycle.stop(), tokio::sync::oneshot::channel());
        lifecycle.run("steady", async move {
            stop.cancelled().await;
            tell.send(()).ok();
            Ok(())
        });
        lifecycle.run("faulty", task);
        let ended = tokio::time::timeout(Duration::from_secs(10), lifecycle.until_stopped()).await.unwrap();
        (ended, told.await.is_ok())
    }

    #[tokio::test]
    async fn a_task_that_crashes_breaks_or_ends_takes_the_server_with_it_after_a_drain_and_is_told_of() {
        let crash = async { std::panic::panic_any("it crashes as asked") };
        let broken = async { bail!("the listener is gone") };
        for (ended, word) in [
            (beside(crash).await, "crashed"),
            (beside(broken).await, "`faulty` broke"),
            (beside(async { Ok(()) }).await, "ended before it was told to"),
        ] {
            let (ended, drained) = ended;
            let error = format!("{:#}", ended.unwrap_err());
            assert!(error.contains(word), "{error}");
            assert!(drained, "the others were told to end, and waited for");
        }
    }

    #[tokio::test]
    async fn a_task_that_crashes_while_the_others_drain_is_told_of_as_well() {
        let mut lifecycle = Lifecycle::owning(lock());
        let stop = lifecycle.stop();
        lifecycle.run("late", async move {
            stop.cancelled().await;
            std::panic::panic_any("it crashes as asked")
        });
        lifecycle.run("first", async { bail!("broken") });
        assert!(lifecycle.until_stopped().await.is_err());
    }
}
