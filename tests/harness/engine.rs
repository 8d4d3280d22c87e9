//! An engine of a test's own: a second `dockerd` with its own data, socket and bridge, to be frozen, killed and restarted
//! while that of all other tests goes on.
//!
//! It leaves the machine's packet filter alone, since an engine that starts flushes the rules of another one: its containers
//! are reached from this machine through their addresses and the engine's port proxy, and reach nothing themselves. What is
//! built in it must not download anything.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{eventually, told, workspace};

/// The image that the template for `static` runs on, as templates name it.
const IMAGE: &str = "python:3.12-slim-bookworm";
/// Addresses of the engine's own bridge; tests with an engine of their own run alone.
const BRIDGE: (&str, &str) = ("convergence-own", "10.204.0.1");
/// Time to start or stop: with containers that do not end by themselves, ten seconds more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running engine. Dropped, it is ended with everything in it.
#[derive(Debug)]
pub(crate) struct Engine {
    child: Option<Child>,
    folder: TempDir,
    /// Bridges that were there before it.
    others: BTreeSet<String>,
}

impl Engine {
    /// Starts an engine that has one base image.
    pub(crate) async fn start() -> Self {
        let (bridge, address) = BRIDGE;
        // Of a test that was killed.
        run("ip", &["link", "delete", bridge]).ok();
        run("ip", &["link", "add", "name", bridge, "type", "bridge"]).expect("root may make bridges");
        run("ip", &["address", "add", &format!("{address}/24"), "dev", bridge]).expect("root may make bridges");
        run("ip", &["link", "set", bridge, "up"]).expect("root may make bridges");
        let folder = TempDir::with_prefix("convergence-engine-").expect("the temporary folder is writable");
        let mut engine = Self { child: None, folder, others: bridges() };
        engine.launch().await;
        let image = base_image();
        let mut save =
            Command::new("docker").args(["save", &image]).stdout(Stdio::piped()).spawn().expect("docker can be run");
        let loaded = engine
            .docker(&["load", "--quiet"])
            .stdin(save.stdout.take().expect("it is piped"))
            .stdout(Stdio::null())
            .status()
            .expect("docker can be run");
        assert!(loaded.success() && save.wait().is_ok_and(|status| status.success()), "cannot load {image}");
        engine
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    /// A command for it.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket().display())).args(arguments);
        command
    }

    /// Starts the process and waits until it answers.
    pub(crate) async fn launch(&mut self) {
        let folder = self.folder.path();
        let log = File::options().create(true).append(true).open(folder.join("log")).expect("the folder is writable");
        let (bridge, address) = BRIDGE;
        // It ends with this process, whatever ends that.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "dockerd", "--iptables=false", "--ip6tables=false", "--ip-masq=false"])
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("run"))
            .arg("--pidfile")
            .arg(folder.join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", self.socket().display()))
            .args(["--bridge", bridge, "--host-gateway-ip", address])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be opened twice"))
            .stderr(log)
            .spawn()
            .expect("setpriv can be run");
        self.child = Some(child);
        eventually("the engine answers", PATIENCE, || async {
            let answer = self.docker(&["version"]).output().map_err(|error| error.to_string())?;
            if answer.status.success() { Ok(()) } else { Err(self.log()) }
        })
        .await;
    }

    /// Sends a signal: `STOP` freezes it, `CONT` thaws it.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().expect("the engine runs"));
        kill_process(pid, signal).expect("it is our child");
    }

    /// Ends it as a crash would. Containers go on until it is back.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        let status = self.child.take().expect("the engine runs").wait().expect("it is our child");
        assert_eq!(status.signal(), Some(9), "{}", self.log());
        // Its containerd died with it. Where nobody buries the dead, the next engine takes it for alive, and waits for it.
        fs::remove_file(self.folder.path().join("run/containerd/containerd.pid")).ok();
    }

    /// Ends it as an operator would, with the containers.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.child.take().expect("the engine runs").wait().expect("it is our child");
        assert!(status.success(), "{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Every container there is, by name, with its state.
    pub(crate) fn containers(&self) -> Vec<String> {
        let output = self.docker(&["ps", "--all", "--format", "{{.Names}} {{.State}}"]).output();
        String::from_utf8_lossy(&output.expect("docker can be run").stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_child(&child);
            // A frozen one does not hear anything else.
            kill_process(pid, Signal::CONT).ok();
            for container in self.containers_quietly() {
                self.docker(&["rm", "--force", &container]).output().ok();
            }
            kill_process(pid, Signal::TERM).ok();
            child.wait().ok();
        }
        end_what_is_left(self.folder.path());
        unmount(self.folder.path());
        run("ip", &["link", "delete", BRIDGE.0]).ok();
        // One that is killed while it makes a network forgets the bridge, which the kernel keeps with its addresses.
        for bridge in bridges().difference(&self.others) {
            run("ip", &["link", "delete", bridge]).ok();
        }
    }
}

/// The bridges that engines of this machine made for networks.
fn bridges() -> BTreeSet<String> {
    let all = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with("br-")).collect()
}

impl Engine {
    fn containers_quietly(&self) -> Vec<String> {
        let output = self.docker(&["ps", "--all", "--quiet"]).output().map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&output).lines().map(str::to_owned).collect()
    }
}

/// Ends what an engine that was killed left running: the shims of its containers, which have its folder in their command
/// line, and the containers below them.
fn end_what_is_left(folder: &Path) {
    let folder = folder.display().to_string();
    let entries = fs::read_dir("/proc").expect("there is /proc");
    let pids: Vec<i32> = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let read = |pid: i32, file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let is_shim = |pid: &i32| {
        let line = String::from_utf8_lossy(&read(*pid, "cmdline")).into_owned();
        line.contains("containerd-shim") && line.contains(&folder)
    };
    let shims: Vec<i32> = pids.iter().copied().filter(is_shim).collect();
    let parent = |pid: i32| {
        let stat = String::from_utf8_lossy(&read(pid, "stat")).into_owned();
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let below = pids.iter().copied().filter(|pid| parent(*pid).is_some_and(|parent| shims.contains(&parent)));
    for pid in below.collect::<Vec<_>>().into_iter().chain(shims.iter().copied()).filter_map(Pid::from_raw) {
        kill_process(pid, Signal::KILL).ok();
    }
}

/// What an engine that was killed left mounted below its folder.
fn unmount(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below =
        mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| Path::new(path).starts_with(folder));
    for path in below.collect::<Vec<_>>().into_iter().rev() {
        run("umount", &["--lazy", path]).ok();
    }
}

/// The name on this machine of the image that the test's tenants run on.
pub(crate) fn base_image() -> String {
    let file = told("CONVERGENCE_IMAGES").unwrap_or_else(|| workspace().join("target/convergence/images.toml"));
    let text = fs::read_to_string(file).unwrap_or_default();
    let map: toml::Table = toml::from_str(&text).expect("the map of images is TOML");
    let name = map.get("images").and_then(|images| images.get(IMAGE)).and_then(toml::Value::as_str);
    name.unwrap_or(IMAGE).to_owned()
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
