//! Runs git behind a wall: an environment of its own, bounds of memory, time and disk, and an end that nothing outlives.
//!
//! All of it blocks, on a thread for that: what cleans up after git then needs no runtime, and a caller that goes away is
//! one more reason to stop, seen where all others are.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use convergence_model::Secret;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::error::{failed, told};
use super::{GitAddress, GitError, GitSettings};
use crate::SourceError;
use crate::room::Room;

/// Where programs are looked for. The server's own environment is neither read nor handed on.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// KiB of addresses that one process of git may have.
const MEMORY_KIB: u64 = 512 << 10;
/// Between two looks at the disk and the clock.
const TICK: Duration = Duration::from_millis(100);
/// The first of them. Most of what git is run for takes a few milliseconds.
const FIRST_TICK: Duration = Duration::from_millis(1);
/// Bytes of what git complains that are read: the last ones, where it says why it ends.
const COMPLAINT: u64 = 8192;
/// Bytes of a short answer.
const TEXT: u64 = 4096;
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How often what is left of a fetch is removed again, where a process that was killed still made a file.
const REMOVALS: usize = 50;

/// Sets the bounds and becomes git: its core dumps, memory, processor time and the size of a file. One that the system does not
/// know, or that is lower already, is left as it is.
const BOUNDED: &str = r#"
bound() { (ulimit "$@") 2>/dev/null && ulimit "$@"; }
bound -c 0; bound -v "$1"; bound -t "$2"; bound -f "$3"
shift 3
exec "$@"
"#;

/// What git is told at every run, over what it would find in files.
const SETTINGS: [(&str, &str); 25] = [
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    // What is larger is streamed and not held in memory.
    ("core.bigFileThreshold", "16m"),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.packedGitLimit", "128m"),
    ("core.packedGitWindowSize", "16m"),
    ("credential.helper", ""),
    ("fetch.fsckObjects", "true"),
    ("fetch.recurseSubmodules", "false"),
    // One file, however many objects there are.
    ("fetch.unpackLimit", "1"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    // An answer that leads elsewhere would go around the check of addresses; so would a proxy.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.proxy", ""),
    ("http.sslVerify", "true"),
    ("index.threads", "1"),
    ("maintenance.auto", "false"),
    ("pack.threads", "1"),
    ("protocol.version", "2"),
    ("submodule.recurse", "false"),
    // Other places that a server may name for its objects.
    ("fetch.uriProtocols", ""),
    ("transfer.bundleURI", "false"),
    ("transfer.credentialsInUrl", "die"),
];

/// The folder that git works in, and when it has to end.
pub(super) struct Wall {
    program: PathBuf,
    scratch: Scratch,
    patience: Duration,
    end: Instant,
    /// Is cut off when the caller goes away.
    caller: Receiver<()>,
    reserve: u64,
    /// What only a run that talks to the server is told.
    network: Vec<(String, String)>,
    scheme: &'static str,
    secrets: Vec<String>,
}

/// What a run of git came to.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it wrote, until git runs again.
    out: File,
    /// What it complained.
    pub(super) said: String,
}

impl Ended {
    /// What it wrote.
    pub(super) fn success(self) -> Result<File, GitError> {
        if self.status.success() { Ok(self.out) } else { Err(failed(&self.said)) }
    }

    /// The beginning of what it wrote, as text.
    pub(super) fn success_text(self) -> Result<String, GitError> {
        let mut text = Vec::new();
        self.success()?.take(TEXT).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// How long a fetch may take, and who waits for it.
pub(super) struct Bounds {
    pub(super) patience: Duration,
    pub(super) end: Instant,
    pub(super) caller: Receiver<()>,
    /// Bytes that stay free on the disk.
    pub(super) reserve: u64,
}

impl Wall {
    /// Around a new folder in `incoming`. Git will connect to `addresses` and nothing else.
    pub(super) fn new(
        incoming: &Path,
        settings: &GitSettings,
        address: &GitAddress,
        addresses: &[std::net::IpAddr],
        token: Option<&Secret>,
        bounds: Bounds,
    ) -> io::Result<Self> {
        let host = address.host();
        let silence = SILENCE.min(bounds.patience / 3).as_secs().max(1);
        let mut network = vec![("http.lowSpeedTime".to_owned(), silence.to_string())];
        if host.ip().is_none() {
            let listed: Vec<_> = addresses.iter().map(in_brackets).collect();
            let pin = format!("{}:{}:{}", host.name(), host.port(), listed.join(","));
            network.push(("http.curloptResolve".to_owned(), pin));
        }
        if let Some(bundle) = &settings.ca_bundle {
            network.push(("http.sslCAInfo".to_owned(), bundle.display().to_string()));
        }
        let mut secrets = Vec::new();
        if let Some(token) = token {
            // The user name that GitHub, GitLab and Gitea take beside a token.
            let pair = format!("x-access-token:{}", token.expose());
            let encoded = data_encoding::BASE64.encode(pair.as_bytes());
            network.push((format!("http.{}/.extraHeader", host.origin()), format!("Authorization: Basic {encoded}")));
            secrets = vec![encoded, token.expose().to_owned()];
        }
        let Bounds { patience, end, caller, reserve } = bounds;
        Ok(Self {
            program: settings.program.clone(),
            scratch: Scratch::new(incoming)?,
            patience,
            end,
            caller,
            reserve,
            network,
            scheme: host.scheme(),
            secrets,
        })
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.scratch.0.join(name)
    }

    /// Runs git where it needs no server. The folder may grow by so many bytes.
    pub(super) fn local(&self, arguments: &[&str], input: Stdio, bytes: u64) -> Result<Ended, GitError> {
        self.run(arguments, input, bytes, false)
    }

    /// Runs git, and lets it talk to the server of the repository.
    pub(super) fn remote(&self, arguments: &[&str], bytes: u64) -> Result<Ended, GitError> {
        self.run(arguments, Stdio::null(), bytes, true)
    }

    fn run(&self, arguments: &[&str], input: Stdio, bytes: u64, online: bool) -> Result<Ended, GitError> {
        let mut out = self.file("out")?;
        let mut complaint = self.file("said")?;
        let before = size(&self.scratch.0);
        let seconds = self.patience.as_secs().max(1);
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(BOUNDED).arg("sh");
        // Files are bounded in blocks of 512 bytes.
        command.args([MEMORY_KIB, seconds, bytes.div_ceil(512)].map(|bound| bound.to_string()));
        command.arg(&self.program).args(arguments);
        self.environment(&mut command, online);
        let child = command
            .current_dir(&self.scratch.0)
            .process_group(0)
            .stdin(input)
            .stdout(out.try_clone()?)
            .stderr(complaint.try_clone()?)
            .spawn()
            .map_err(|error| GitError::Unusable(format!("/bin/sh cannot be started: {error}")))?;
        let mut group = Group { child, ended: false };
        let mut pause = FIRST_TICK;
        let grown = || size(&self.scratch.0).saturating_sub(before);
        while !group.has_exited()? {
            match self.caller.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody reads this.
                _ => return Err(SourceError::Folder(io::ErrorKind::Interrupted.into()).into()),
            }
            if Instant::now() >= self.end {
                return Err(GitError::TooSlow(self.patience));
            }
            if grown() > bytes {
                return Err(too_large(bytes));
            }
            Room::new(self.scratch.0.clone(), self.reserve).take(0)?;
            pause = (pause * 2).min(TICK);
        }
        let status = group.end()?;
        if grown() > bytes || (!status.success() && grown() == bytes) {
            return Err(too_large(bytes));
        }
        let length = complaint.seek(SeekFrom::End(0))?;
        complaint.seek(SeekFrom::Start(length.saturating_sub(COMPLAINT)))?;
        let mut said = Vec::new();
        complaint.take(COMPLAINT).read_to_end(&mut said)?;
        out.rewind()?;
        Ok(Ended { status, out, said: told(&said, &self.secrets) })
    }

    /// A new file, to write to and then to read: git writes to files and not to us, so that nothing has to keep up with it.
    fn file(&self, name: &str) -> io::Result<File> {
        File::options().read(true).write(true).create(true).truncate(true).open(self.path(name))
    }

    fn environment(&self, command: &mut Command, online: bool) {
        let scratch = self.scratch.0.as_os_str();
        let fixed: [(&str, &OsStr); 17] = [
            ("PATH", OsStr::new(PATH)),
            ("LC_ALL", OsStr::new("C")),
            // Where `.netrc`, `.gitconfig` and cookies would be.
            ("HOME", scratch),
            ("XDG_CONFIG_HOME", scratch),
            ("TMPDIR", scratch),
            ("GIT_ALLOW_PROTOCOL", OsStr::new(if online { self.scheme } else { "none" })),
            // Empty is none at all; absent is one of the configuration.
            ("GIT_ASKPASS", OsStr::new("")),
            ("SSH_ASKPASS", OsStr::new("")),
            ("GIT_ATTR_NOSYSTEM", OsStr::new("1")),
            ("GIT_CONFIG_GLOBAL", OsStr::new("/dev/null")),
            ("GIT_CONFIG_NOSYSTEM", OsStr::new("1")),
            ("GIT_CONFIG_SYSTEM", OsStr::new("/dev/null")),
            ("GIT_NO_LAZY_FETCH", OsStr::new("1")),
            ("GIT_NO_REPLACE_OBJECTS", OsStr::new("1")),
            ("GIT_OPTIONAL_LOCKS", OsStr::new("0")),
            ("GIT_PROTOCOL_FROM_USER", OsStr::new("0")),
            ("GIT_TERMINAL_PROMPT", OsStr::new("0")),
        ];
        command.env_clear().envs(fixed).env("GIT_DIR", self.path("repository"));
        let network = self.network.iter().filter(|_| online).map(|(key, value)| (key.as_str(), value.as_str()));
        let mut count = 0_usize;
        for (key, value) in SETTINGS.into_iter().chain(network) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
    }
}

fn in_brackets(address: &std::net::IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

fn too_large(bytes: u64) -> GitError {
    GitError::TooLarge(format!(
        "the repository is larger than {} MiB, its newest commit alone; leave out what is installed or generated",
        bytes >> 20
    ))
}

/// Bytes of all files in a folder. What goes away meanwhile counts for nothing.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Git, and all that it started: the group of its own that it is the first of.
struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    /// The number is its own until it is waited for.
    fn id(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Whether git itself has ended. It is not waited for, so that its group can be killed yet.
    fn has_exited(&self) -> io::Result<bool> {
        let Some(id) = self.id() else { return Ok(true) };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(id), options)?.is_some())
    }

    /// Kills all of it that is left.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(id) = self.id() {
            kill_process_group(id, Signal::KILL).ok();
        }
        self.child.kill().ok();
        self.ended = true;
        self.child.wait()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.end().ok();
        }
    }
}

/// A folder that goes away with all that is in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(incoming: &Path) -> io::Result<Self> {
        Ok(Self(tempfile::Builder::new().prefix("git-").tempdir_in(incoming)?.keep()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for _ in 0..REMOVALS {
            match fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => thread::park_timeout(TICK / 10),
                _ => return,
            }
        }
        tracing::warn!(folder = %self.0.display(), "what was fetched from Git cannot be removed; it is tried again later");
    }
}
