//! A container engine that answers: the one that is there, else (root on Debian or Ubuntu) one installed and started.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace::Workspace;
use crate::{apt, command};

/// An engine that is there answers within milliseconds; one that hangs never does.
const ANSWER: Duration = Duration::from_secs(15);

/// How long a freshly started engine may take to answer.
const START: Duration = Duration::from_secs(60);

/// How long systemd may take to bring up the engine it was just given.
const SYSTEMD: Duration = Duration::from_secs(20);

/// The first API version whose builds speak BuildKit (Docker 18.09).
const BUILDKIT_API: (u32, u32) = (1, 39);

/// What an engine said about itself.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Its version, as it prints it.
    version: String,
    /// The newest API version it speaks.
    api: (u32, u32),
}

/// The chore.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    ensure(workspace)
}

/// Makes sure an engine answers and can build with BuildKit.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    let engine = match ask() {
        Ok(engine) => engine,
        Err(silence) => bring_up(workspace, &silence)?,
    };
    let (major, minor) = engine.api;
    println!("    Docker {} answers, API {major}.{minor}", engine.version);
    if engine.api < BUILDKIT_API {
        bail!(
            "this engine speaks API {major}.{minor} and cannot build with BuildKit, which needs {}.{}: install Docker 20.10 or newer",
            BUILDKIT_API.0,
            BUILDKIT_API.1
        );
    }
    Ok(())
}

/// Asks the engine, wherever `DOCKER_HOST` or the current Docker context says it is, who it is.
fn ask() -> Result<Engine> {
    let mut question = Command::new("docker");
    question.args(["version", "--format", "{{json .Server}}"]);
    parse(&command::capture_within(&mut question, ANSWER)?)
}

fn parse(answer: &str) -> Result<Engine> {
    let server: Value =
        serde_json::from_str(answer.trim()).context("`docker version` printed something other than JSON")?;
    let text = |name: &str| {
        server.get(name).and_then(Value::as_str).with_context(|| format!("`docker version` names no {name}"))
    };
    let api = text("ApiVersion")?;
    let numbers = api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    Ok(Engine {
        version: text("Version")?.to_owned(),
        api: numbers.with_context(|| format!("the engine's API version {api:?} is not of the form 1.41"))?,
    })
}

/// Nothing answered: installs and starts an engine where that is ours to do, else says what the person can do.
fn bring_up(workspace: &Workspace, silence: &anyhow::Error) -> Result<Engine> {
    println!("    no container engine answers: {silence:#}");
    if let Ok(host) = env::var("DOCKER_HOST") {
        bail!(
            "DOCKER_HOST is {host}, and no engine answers there: start that engine, or unset DOCKER_HOST to use this machine's own"
        );
    }
    if format!("{silence:#}").contains("permission denied") {
        bail!(
            "an engine runs here, but this user may not talk to it: add the user to the group `docker` and log in again, or start the chore as root"
        );
    }
    if !apt::available() {
        bail!("{}", advice());
    }
    if command::find("dockerd").is_none() {
        apt::install(&["docker.io"], "a container engine")?;
    }
    if command::find("docker").is_none() {
        // From Debian 13 on the client is a package of its own.
        apt::install(&["docker-cli"], "Docker's command line client")?;
    }
    if Path::new("/run/systemd/system").exists() {
        println!("    starting docker.service");
        command::run(Command::new("systemctl").args(["start", "docker.service"]))?;
        return command::wait_until(SYSTEMD, || Ok(ask().ok()))?
            .context("docker.service was started but nothing answers: look at `journalctl -u docker.service`");
    }
    mount_cgroups()?;
    let log = workspace.target().join("engine").join("dockerd.log");
    println!("    there is no systemd here: starting dockerd in the background, its log is {}", log.display());
    let daemon = start(&[], &log)?;
    await_answer(daemon, &log, ask)
}

/// Starts `dockerd` in a session of its own with its output in a file, so that it outlives this chore and nothing
/// that waits for the chore's terminal or pipes waits for it.
fn start(arguments: &[OsString], log: &Path) -> Result<Child> {
    let dockerd =
        command::find("dockerd").context("dockerd is not installed where it was expected, in PATH or /usr/sbin")?;
    let (stdout, stderr) = command::log_files(log)?;
    Command::new("setsid")
        .arg(dockerd)
        .args(arguments)
        .env("PATH", path_with_system_folders())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .context("cannot start dockerd with `setsid` (package util-linux)")
}

/// Waits until `answer` succeeds; a daemon that ends or stays silent is an error with its last words and a remedy.
fn await_answer(mut daemon: Child, log: &Path, answer: impl Fn() -> Result<Engine>) -> Result<Engine> {
    let mut ended = None;
    let found = command::wait_until(START, || {
        if let Ok(engine) = answer() {
            return Ok(Some(Some(engine)));
        }
        ended = daemon.try_wait()?;
        Ok(ended.map(|_| None))
    })?;
    if let Some(Some(engine)) = found {
        return Ok(engine);
    }
    let what = ended.map_or_else(
        || format!("does not answer after {} s", START.as_secs()),
        |status| format!("ended with {status}"),
    );
    let text = fs::read_to_string(log).unwrap_or_default();
    bail!("dockerd {what}. Its last lines, of {}:\n{}\n{}", log.display(), command::tail(log), remedy(&text))
}

/// What usually fixes what `dockerd` complained about.
fn remedy(log: &str) -> &'static str {
    const KNOWN: &[(&str, &str)] = &[
        ("Devices cgroup isn't mounted", "Mount the control groups: apt-get install cgroupfs-mount && cgroupfs-mount"),
        (
            "cgroup",
            "Look at /sys/fs/cgroup: dockerd needs control groups mounted; `apt-get install cgroupfs-mount && cgroupfs-mount` does that",
        ),
        (
            "iptables",
            "Try the older iptables backend: update-alternatives --set iptables /usr/sbin/iptables-legacy, then start the chore again",
        ),
        (
            "nft",
            "Try the older iptables backend: update-alternatives --set iptables /usr/sbin/iptables-legacy, then start the chore again",
        ),
        (
            "pid file found",
            "Another dockerd runs, or died here: if no process has the id in /var/run/docker.pid, remove that file",
        ),
        ("no space left", "The disk is full: free some space under /var/lib/docker"),
        (
            "overlay",
            "The file system under /var/lib/docker cannot carry overlay2: put {\"storage-driver\": \"vfs\"} into /etc/docker/daemon.json",
        ),
    ];
    let failures: Vec<&str> =
        log.lines().filter(|line| line.contains("failed to start daemon") || line.contains("level=fatal")).collect();
    let failures = if failures.is_empty() { vec![log] } else { failures };
    let known = KNOWN.iter().find(|(sign, _)| failures.iter().any(|line| line.contains(sign)));
    known.map_or("Fix what the lines above report, then start the chore again", |(_, remedy)| remedy)
}

/// Mounts the control groups where nothing did: a machine without systemd may have none.
fn mount_cgroups() -> Result<()> {
    let top = Path::new("/sys/fs/cgroup");
    if top.join("cgroup.controllers").exists() || top.join("memory").exists() {
        return Ok(());
    }
    println!("    no control groups are mounted: mounting them");
    apt::ensure("cgroupfs-mount", &["cgroupfs-mount"], "what mounts control groups")?;
    command::run(&mut Command::new("cgroupfs-mount"))
}

/// `dockerd` calls `iptables`, `containerd` and `runc` by name, and a bare environment's `PATH` may lack their folder.
fn path_with_system_folders() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    env::join_paths(env::split_paths(&path).chain(system)).unwrap_or(path)
}

/// What to do on a machine where installing is not ours.
fn advice() -> &'static str {
    if apt::is_debian_like() {
        "install and start a container engine: sudo apt-get install docker.io, or start the chore as root and it does that"
    } else if cfg!(target_os = "macos") {
        "install and start a container engine: Docker Desktop, Colima or OrbStack; `docker version` must show a server"
    } else {
        "install and start a container engine (Docker 20.10 or newer; see docs.docker.com/engine/install); `docker version` must show a server"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_an_engine_is_understood() {
        let engine = parse(r#"{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux"}"#).expect("it parses");
        assert_eq!((engine.version.as_str(), engine.api), ("20.10.24", (1, 41)));
        assert!(engine.api >= BUILDKIT_API);
    }

    #[test]
    fn an_odd_answer_is_an_error() {
        for answer in ["", "null", "{}", r#"{"Version":"1","ApiVersion":"new"}"#] {
            assert!(parse(answer).is_err(), "{answer:?}");
        }
    }

    #[test]
    fn a_known_complaint_has_a_remedy() {
        let log = "level=info msg=\"iptables ok\"\nfailed to start daemon: Devices cgroup isn't mounted";
        assert!(remedy(log).contains("cgroupfs-mount"));
        assert!(remedy("something never seen").contains("lines above"));
    }

    /// Needs root, so it is run by hand: `cargo test -p xtask -- --ignored engine`. This engine touches neither bridges
    /// nor firewall rules: at its start an engine that manages rules throws away those of the one beside it.
    #[test]
    #[ignore = "starts a second dockerd"]
    fn a_started_engine_answers_from_a_session_of_its_own() -> Result<()> {
        let folder = env::temp_dir().join(format!("xtask-engine-{}", std::process::id()));
        let socket = format!("unix://{}", folder.join("docker.sock").display());
        let place = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
        let arguments = [
            place("data-root", "data"),
            place("exec-root", "exec"),
            place("pidfile", "docker.pid"),
            format!("--host={socket}"),
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
            "--ip-forward=false".to_owned(),
        ];
        let log = folder.join("dockerd.log");
        let daemon = start(&arguments.map(OsString::from), &log)?;
        let id = daemon.id().to_string();
        let engine = await_answer(daemon, &log, || {
            let mut question = Command::new("docker");
            question.args(["--host", &socket, "version", "--format", "{{json .Server}}"]);
            parse(&command::capture_within(&mut question, ANSWER)?)
        });
        let session = command::capture(Command::new("ps").args(["-o", "sid=", "-p", &id]));
        command::capture(Command::new("kill").arg(&id))?;
        // The process stays in the table as a zombie of this test, so its pid file tells.
        let gone = command::wait_until(START, || Ok((!folder.join("docker.pid").exists()).then_some(())))?;
        assert!(gone.is_some(), "it does not stop");
        fs::remove_dir_all(&folder)?;
        assert!(engine?.api >= BUILDKIT_API);
        assert_eq!(session?.trim(), id, "it leads a session of its own");
        Ok(())
    }
}
