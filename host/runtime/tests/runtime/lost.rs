//! A proxy in front of the engine's socket that cuts replies after the engine acted, alters requests, and goes away.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{Builder, Change, Desired, Ensured, Placement, Removal, Runtime, RuntimeError};
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::fixture::{config, on_docker, socket};

/// What is replaced in requests, and with what, which is as long.
type Altered = Arc<Mutex<Option<(String, String)>>>;

/// Forwards connections; cuts the reply to the next request that begins with `cut`.
struct Proxy {
    cut: Arc<Mutex<Option<String>>>,
    altered: Altered,
    task: JoinHandle<()>,
}

impl Proxy {
    fn open(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (cut, altered) = (Arc::new(Mutex::new(None)), Altered::default());
        let task = tokio::spawn({
            let (cut, altered) = (cut.clone(), altered.clone());
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(forward(stream, cut.clone(), altered.clone()));
                }
            }
        });
        Self { cut, altered, task }
    }

    /// Cuts the next reply to a request whose first line contains this.
    fn cut(&self, request: &str) {
        *self.cut.lock().unwrap() = Some(request.to_owned());
    }

    /// Replaces this in every request from now on.
    fn alter(&self, this: &str, by: &str) {
        assert_eq!(this.len(), by.len(), "the length of a request is said before it");
        *self.altered.lock().unwrap() = Some((this.to_owned(), by.to_owned()));
    }

    fn has_cut(&self) -> bool {
        self.cut.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut client: UnixStream, cut: Arc<Mutex<Option<String>>>, altered: Altered) {
    let engine: PathBuf = socket().trim_start_matches("unix://").into();
    let mut engine = UnixStream::connect(engine).await.unwrap();
    let mut first = vec![0; 64 * 1024];
    let read = client.read(&mut first).await.unwrap();
    let head = String::from_utf8_lossy(&first[..read]).lines().next().unwrap_or_default().to_owned();
    let mut request = first[..read].to_vec();
    // What is asked of the fixture's engine fits into one read; only text is altered, and bytes stay as they are.
    if let (Some((this, by)), Ok(text)) = (&*altered.lock().unwrap(), std::str::from_utf8(&request)) {
        request = text.replace(this, by).into_bytes();
    }
    engine.write_all(&request).await.unwrap();
    let matched = cut.lock().unwrap().take_if(|wanted| head.contains(wanted.as_str())).is_some();
    if matched {
        // The reply proves that the engine acted; then both sides are hung up on.
        let _ = engine.read(&mut first).await;
        return;
    }
    let _ = copy_bidirectional(&mut client, &mut engine).await;
}

fn through(path: &Path) -> Docker {
    Docker::connect(DockerConfig { socket: Some(path.display().to_string()), ..config() })
}

#[tokio::test]
async fn docker_replies_that_are_lost_are_no_failures() {
    on_docker("lost", async |_, fixture| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        let proxy = Proxy::open(&path);
        let docker = through(&path);
        docker.build(&fixture.image(), &mut |_| {}).await.unwrap();

        proxy.cut("/networks/create");
        let boundary = fixture.boundary(&docker).await;
        assert!(proxy.has_cut());
        proxy.cut("/volumes/create");
        assert_eq!(docker.ensure_volume(&fixture.volume(), &fixture.labels("7")).await.unwrap(), Ensured::Created);
        assert!(proxy.has_cut());

        let workload = fixture.workload(&boundary);
        proxy.cut("/containers/create");
        // The second try finds what the first one made.
        assert_eq!(docker.ensure(&workload, Desired::Stopped).await, Ok(Placement::Adopted));
        assert!(proxy.has_cut());
        proxy.cut("/start");
        assert_eq!(docker.ensure(&workload, Desired::ONE).await, Ok(Placement::Adopted));
        assert!(proxy.has_cut());
        docker.wait_ready(&workload, Duration::from_secs(60)).await.unwrap();
        proxy.cut("DELETE /");
        assert_eq!(docker.remove(&workload.name, fixture.owner()).await.unwrap(), Removal::Removed);
        assert!(proxy.has_cut());
        assert_eq!(docker.observe(&workload.name).await.unwrap(), None);
    })
    .await;
}

/// Something between the platform and the engine, or in the engine, changes what is asked for.
#[tokio::test]
async fn docker_never_runs_a_container_that_is_not_what_was_asked_for() {
    on_docker("altered", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        let proxy = Proxy::open(&path);
        let altered = through(&path);
        proxy.alter("\"Privileged\":false", "\"Privileged\":true ");
        let mut changes = docker.changes(&fixture.instance).await.unwrap();
        for desired in [Desired::ONE, Desired::Stopped] {
            let RuntimeError::Deviates { deviations } = altered.ensure(&workload, desired).await.unwrap_err() else {
                panic!("it was made as it was asked for")
            };
            assert_eq!(deviations[0].field, "HostConfig.Privileged");
            assert_eq!(docker.observe(&workload.name).await.unwrap(), None, "it is removed");
        }
        // Twice made and removed; never started.
        let mut told = Vec::new();
        while told.iter().filter(|change| **change == Change::Removed).count() < 2 {
            told.push(changes.next().await.unwrap().unwrap().change);
        }
        assert!(!told.contains(&Change::Started), "{told:?}");
        assert_eq!(docker.ensure(&workload, Desired::ONE).await, Ok(Placement::Created));
    })
    .await;
}

#[tokio::test]
async fn docker_may_come_late_go_and_come_back() {
    on_docker("late", async |_, fixture| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("proxy.sock");
        let docker = through(&path);
        assert!(docker.engine().await.unwrap_err().is_unreachable());
        let proxy = Proxy::open(&path);
        docker.engine().await.unwrap();
        drop(proxy);
        std::fs::remove_file(&path).unwrap();
        assert!(docker.owned(&fixture.instance).await.unwrap_err().is_unreachable());
        let _proxy = Proxy::open(&path);
        docker.owned(&fixture.instance).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn engine_that_hangs_is_a_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("silent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let call_limit = Duration::from_millis(200);
    let socket = Some(path.display().to_string());
    let docker = Docker::connect(DockerConfig { socket, call_limit, ..config() });
    let error = docker.engine().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout { after, .. } if after == call_limit), "{error:?}");
}
