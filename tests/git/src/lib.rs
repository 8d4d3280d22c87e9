//! A server of repositories on this machine: `git http-backend` behind the little of HTTP that git needs, and some that behave
//! badly.
//!
//! The first folder of a path says how it is answered: `repos` as it should be, `locked` with the password `token`, `forbidden`,
//! `redirect`, `broken`, `silent`, `slow` and `endless` as they say.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test whose server does not work has failed"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

/// What the server was asked, and what became of it.
#[derive(Debug, Default)]
struct Log {
    /// The first lines and headers of requests.
    heads: Vec<String>,
    connections: usize,
    /// Connections that the other side closed while it was waited for.
    left: usize,
}

/// Serves the repositories of a folder until it is dropped.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    log: Arc<Mutex<Log>>,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// One without TLS.
    pub fn start() -> Self {
        Self::of(None)
    }

    /// One with TLS, and the file of its certificate.
    pub fn start_with_tls(name: &str) -> (Self, PathBuf) {
        let keys = TempDir::new().unwrap().keep();
        let (key, certificate) = (keys.join("key.pem"), keys.join("certificate.pem"));
        let (subject, also) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", &subject, "-addext", &also, "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        (Self::of(Some(Arc::new(config))), certificate)
    }

    fn of(tls: Option<Arc<ServerConfig>>) -> Self {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (log, stopping) = (Arc::new(Mutex::new(Log::default())), Arc::new(AtomicBool::new(false)));
        let (to_log, stop, root) = (Arc::clone(&log), Arc::clone(&stopping), folder.path().to_owned());
        let accept = move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (stream, log, root, tls) = (stream.unwrap(), Arc::clone(&to_log), root.clone(), tls.clone());
                log.lock().unwrap().connections += 1;
                // A client that goes away is no failure of the test.
                thread::spawn(move || match tls {
                    None => serve(stream, &root, &log),
                    Some(tls) => serve(StreamOwned::new(ServerConnection::new(tls).unwrap(), stream), &root, &log),
                });
            }
        };
        let accepting = Some(thread::spawn(accept));
        Self { folder, port, log, stopping, accepting }
    }

    /// A new repository with these files in one commit on its branch `main`.
    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> Repository {
        self.repository_of("sha1", name, files)
    }

    /// The same, whose hashes are `sha1` or `sha256`.
    pub fn repository_of(&self, format: &str, name: &str, files: &[(&str, &str)]) -> Repository {
        let repository = Repository { folder: self.folder.path().join(name) };
        std::fs::create_dir(&repository.folder).unwrap();
        repository.git(&["init", "--quiet", "--initial-branch=main", &format!("--object-format={format}")]);
        repository.commit(files);
        repository
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As `git-hosts` names it.
    pub fn host(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Of a repository that is answered in this way.
    pub fn url(&self, way: &str, name: &str) -> String {
        format!("{}/{way}/{name}/.git", self.host())
    }

    /// The first lines and headers of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.log.lock().unwrap().heads.clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    /// How many of them the other side closed while it was waited for.
    pub fn left(&self) -> usize {
        self.log.lock().unwrap().left
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().ok();
        }
    }
}

/// A repository that is served.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Runs git in it, and answers what it writes.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, "")
    }

    /// The same, with something to read.
    pub fn git_with(&self, arguments: &[&str], input: &str) -> String {
        let mut child = git(&self.folder).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "git {arguments:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Commits these files, and answers the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.commit_index()
    }

    /// Commits what was added, and answers the commit.
    pub fn commit_index(&self) -> String {
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a symbolic link in it, which is not committed yet.
    pub fn link(&self, path: &str, to: &str) {
        std::os::unix::fs::symlink(to, self.folder.join(path)).unwrap();
    }
}

/// Git in a folder, without anybody's configuration.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b.example")])
        .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b.example")]);
    git
}

/// One that can be waited on without blocking for good.
trait Connection: Read + Write {
    fn socket(&self) -> &TcpStream;
    /// Says that nothing follows, where that is said.
    fn end(&mut self) {}
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Connection for StreamOwned<ServerConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref()
    }

    fn end(&mut self) {
        self.conn.send_close_notify();
        self.flush().ok();
    }
}

/// Answers one request.
fn serve(stream: impl Connection, root: &Path, log: &Mutex<Log>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match stream.read_line(&mut head) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    log.lock().unwrap().heads.push(head.clone());
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (way, rest) = target.trim_start_matches('/').split_once('/').unwrap_or_default();
    let answer = |stream: &mut BufReader<_>, text: &str| {
        let text = format!("HTTP/1.1 {text}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        write(stream, text.as_bytes())
    };
    let sent = match way {
        "repos" => backend(&mut stream, &head, rest, root),
        // The password is `token`.
        "locked" if head.contains("Basic eC1hY2Nlc3MtdG9rZW46dG9rZW4=\r\n") => backend(&mut stream, &head, rest, root),
        "locked" => answer(&mut stream, "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\""),
        "forbidden" => answer(&mut stream, "403 Forbidden"),
        "redirect" => answer(&mut stream, &format!("302 Found\r\nLocation: /repos/{rest}")),
        "broken" => answer(&mut stream, "200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement"),
        "silent" => wait(&mut stream, |_| Ok(())),
        "slow" => {
            let kind = "Content-Type: application/x-git-upload-pack-advertisement";
            write(&mut stream, format!("HTTP/1.1 200 OK\r\n{kind}\r\n\r\n").as_bytes()).ok();
            wait(&mut stream, |stream| write(stream, b"0"))
        }
        "endless" => {
            let kind = "Content-Type: application/x-git-upload-pack-advertisement";
            let mut sent = write(&mut stream, format!("HTTP/1.1 200 OK\r\n{kind}\r\n\r\n").as_bytes());
            while sent.is_ok() {
                sent = write(&mut stream, &[b'0'; 256 << 10]);
            }
            sent
        }
        way => panic!("no way is called {way}"),
    };
    stream.get_mut().end();
    if way == "silent" || way == "slow" || sent.is_err() {
        log.lock().unwrap().left += 1;
    }
}

fn write(stream: &mut BufReader<impl Connection>, bytes: &[u8]) -> io::Result<()> {
    stream.get_mut().write_all(bytes)?;
    stream.get_mut().flush()
}

/// Does this ten times a second, until the other side is gone.
fn wait<S: Connection>(
    stream: &mut BufReader<S>,
    mut act: impl FnMut(&mut BufReader<S>) -> io::Result<()>,
) -> io::Result<()> {
    stream.get_ref().socket().set_read_timeout(Some(Duration::from_millis(100)))?;
    loop {
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => act(stream)?,
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Lets `git http-backend` answer, as a web server does.
fn backend(stream: &mut BufReader<impl Connection>, head: &str, target: &str, root: &Path) -> io::Result<()> {
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    };
    let mut body = vec![0; header("Content-Length").parse().unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = git(root)
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.split(' ').next().unwrap_or_default())
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("Content-Type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("Content-Encoding"))
        .env("GIT_PROTOCOL", header("Git-Protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // An absent repository is written there too.
        .stderr(Stdio::null())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&body).ok();
    let said = child.wait_with_output()?.stdout;
    let end = said.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(said.len());
    let headers = String::from_utf8_lossy(&said[..end]);
    let status = headers.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    write(stream, format!("HTTP/1.1 {status}\r\nConnection: close\r\n").as_bytes())?;
    write(stream, &said)
}
