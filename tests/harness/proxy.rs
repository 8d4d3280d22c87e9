//! A proxy that does to a connection what networks and overloaded programs do: cuts it, before or after the request got
//! through, lets it hang, delays it. In front of the engine's socket, or of a server's port.
//!
//! It speaks as much HTTP/1.1 as it takes to tell one request from another: each gets a connection of its own to the other
//! side, which is told to close it behind the answer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, copy_bidirectional, sink};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The longest head of a request.
const HEAD_MAX: usize = 64 * 1024;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It gets through, is done, and its answer is cut off.
    LoseReply,
    /// It is cut off before it gets through.
    LoseRequest,
    /// It never gets through, and nothing ever comes back.
    Hang,
    /// It gets through later.
    Delay(Duration),
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    path: &'static str,
    fault: Fault,
    times: usize,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    /// Every request, as `POST /containers/create`, in order.
    journal: Vec<String>,
}

/// Where requests go.
#[derive(Debug, Clone)]
enum Target {
    Unix(PathBuf),
    Tcp(u16),
}

/// A running proxy. It has a thread of its own, so that it also works while a test blocks.
#[derive(Debug)]
pub(crate) struct Proxy {
    script: Arc<Mutex<Script>>,
    folder: TempDir,
    port: u16,
    /// Dropped, it ends the thread.
    _alive: tokio::sync::oneshot::Sender<()>,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

impl Proxy {
    /// In front of the engine that tests share.
    pub(crate) fn of_engine() -> Self {
        Self::before(Target::Unix(PathBuf::from("/var/run/docker.sock")))
    }

    /// In front of a server.
    pub(crate) fn of_server(port: u16) -> Self {
        Self::before(Target::Tcp(port))
    }

    fn before(target: Target) -> Self {
        let folder = TempDir::new().expect("the temporary folder is writable");
        let script = Arc::new(Mutex::new(Script::default()));
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let (socket, shared) = (folder.path().join("docker.sock"), Arc::clone(&script));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let unix = UnixListener::bind(socket).expect("the temporary folder is writable");
                let tcp = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
                tell.send(tcp.local_addr().expect("it is bound").port()).expect("somebody asked for it");
                let mut relays = tokio::task::JoinSet::new();
                let accept = async {
                    loop {
                        let wire: Box<dyn Wire> = tokio::select! {
                            Ok((stream, _)) = unix.accept() => Box::new(stream),
                            Ok((stream, _)) = tcp.accept() => Box::new(stream),
                        };
                        let (target, script) = (target.clone(), Arc::clone(&shared));
                        relays.spawn(async move { relay(wire, &target, &script).await.ok() });
                        while relays.try_join_next().is_some() {}
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = ended => {}
                }
            });
        });
        let port = told.recv().expect("the proxy starts");
        Self { script, folder, port, _alive: alive }
    }

    /// Where the engine is reached through it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// Where a server is reached through it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Does this to the next requests with a method whose path begins with, or after an id ends with, `path`.
    pub(crate) fn fault(&self, method: &'static str, path: &'static str, fault: Fault, times: usize) {
        locked(&self.script).rules.push(Rule { method, path, fault, times });
    }

    /// Does nothing to requests from now on.
    pub(crate) fn heal(&self) {
        locked(&self.script).rules.clear();
    }

    /// Faults that nothing has met yet.
    pub(crate) fn unmet(&self) -> usize {
        locked(&self.script).rules.iter().map(|rule| rule.times).sum()
    }

    /// How many requests like this there were.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        locked(&self.script).journal.iter().filter(|line| matches(line, method, path)).count()
    }
}

fn locked(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

fn matches(line: &str, method: &str, path: &str) -> bool {
    let Some((had, rest)) = line.split_once(' ') else { return false };
    let rest = rest.split('?').next().unwrap_or_default();
    had == method && (rest.starts_with(path) || rest.ends_with(path))
}

/// Writes a request down and takes what is to be done to it.
fn meet(script: &Mutex<Script>, line: &str) -> Option<Fault> {
    let mut script = locked(script);
    script.journal.push(line.to_owned());
    let rule = script.rules.iter_mut().find(|rule| rule.times > 0 && matches(line, rule.method, rule.path))?;
    rule.times -= 1;
    Some(rule.fault)
}

async fn relay(mut client: Box<dyn Wire>, target: &Target, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if bytes.len() > HEAD_MAX || client.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let (head, rest) = bytes.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let line = request_line(&head);
    match meet(script, &line) {
        None => {}
        Some(Fault::Delay(pause)) => tokio::time::sleep(pause).await,
        Some(Fault::LoseRequest) => return Ok(()),
        Some(Fault::Hang) => return copy(&mut client, &mut sink()).await.map(drop),
        Some(Fault::LoseReply) => {
            let mut engine = connect(target).await?;
            engine.write_all(closing(&head).as_bytes()).await?;
            engine.write_all(rest).await?;
            let (mut from_engine, mut to_engine) = tokio::io::split(engine);
            let (mut from_client, to_client) = tokio::io::split(client);
            // The whole answer is waited for, so that what was asked has been done; none of it gets back.
            let mut nowhere = sink();
            let ask = async {
                copy(&mut from_client, &mut to_engine).await.ok();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answered = copy(&mut from_engine, &mut nowhere) => { answered?; }
                () = ask => {}
            }
            drop((to_client, from_client));
            return Ok(());
        }
    }
    let mut engine = connect(target).await?;
    engine.write_all(closing(&head).as_bytes()).await?;
    engine.write_all(rest).await?;
    copy_bidirectional(&mut client, &mut engine).await.map(drop)
}

async fn connect(target: &Target) -> std::io::Result<Box<dyn Wire>> {
    Ok(match target {
        Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Target::Tcp(port) => Box::new(TcpStream::connect(("127.0.0.1", *port)).await?),
    })
}

/// `POST /containers/create?name=…`, without the version before it.
fn request_line(head: &str) -> String {
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.strip_prefix("/v1.").and_then(|rest| rest.find('/').and_then(|at| rest.get(at..))).unwrap_or(path);
    format!("{method} {path}")
}

/// The head, with a wish to close the connection behind the answer, unless it is to become something else than HTTP.
fn closing(head: &str) -> String {
    if head.to_ascii_lowercase().contains("\r\nupgrade:") {
        return head.to_owned();
    }
    let lines = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    format!("{}\r\nConnection: close", lines.collect::<Vec<_>>().join("\r\n"))
}
