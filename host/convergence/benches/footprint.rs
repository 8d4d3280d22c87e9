//! How long the server takes from its start to being ready, and how much memory it holds when idle.
//!
//! Both with every first-party plugin and a warm cache of their native code. The start is held against the same
//! binary printing its version, which is what the machine takes to run it at all; the memory against the same server
//! without a plugin. The sides take turns.
//!
//! `CONVERGENCE_BIN` is the server's binary; `cargo xtask bench footprint` builds it in release. `FOOTPRINT_BENCH_N` is
//! how often it is started.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a program of its own: it reads its environment and sleeps")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const STARTS: usize = 20;
const WARM_UP: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks: short against what is measured, and long enough not to take the processor from it.
const LOOK: Duration = Duration::from_millis(1);
/// After a start, until memory is read: threads have come to rest by then.
const SETTLE: Duration = Duration::from_secs(2);
const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    let starts = std::env::var("FOOTPRINT_BENCH_N")
        .ok()
        .map_or(STARTS, |text| text.parse().expect("FOOTPRINT_BENCH_N is a number"));
    let (full, empty) = (Site::new(true), Site::new(false));

    let (mut ready, mut answering, mut version) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..WARM_UP + starts {
        let bare = run_version();
        let begun = Instant::now();
        let server = full.start();
        server.wait_for("/health");
        let answers = begun.elapsed();
        server.wait_for("/ready");
        let is_ready = begun.elapsed();
        if turn >= WARM_UP {
            version.push(bare);
            answering.push(answers);
            ready.push(is_ready);
        }
    }
    let (ready, answering, version) = (Percentiles::of(ready), Percentiles::of(answering), Percentiles::of(version));
    println!(
        "start: ready p50 {} p95 {} (answering p50 {}) | bare --version p50 {} p95 {} | ratio p50 {:.1}",
        millis(ready.p50),
        millis(ready.p95),
        millis(answering.p50),
        millis(version.p50),
        millis(version.p95),
        ready.p50.as_secs_f64() / version.p50.as_secs_f64(),
    );

    let (with, without) = (full.memory(), empty.memory());
    println!(
        "memory, idle: rss {} pss {} private {} | without plugins rss {} pss {} private {} | ratio rss {:.2}",
        mib(with.rss),
        mib(with.pss),
        mib(with.private),
        mib(without.rss),
        mib(without.pss),
        mib(without.private),
        with.rss / without.rss,
    );
}

/// How long the binary takes to print its version.
fn run_version() -> Duration {
    let begun = Instant::now();
    let ended = Command::new(binary()).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
    assert!(ended.success());
    begun.elapsed()
}

/// Where a server lives, through all of its starts.
struct Site {
    folder: TempDir,
    port: u16,
}

impl Site {
    fn new(plugins: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let (data, drop_in) = (folder.path().join("data"), folder.path().join("plugins"));
        fs::create_dir(&drop_in).unwrap();
        if plugins {
            fill(&drop_in);
        }
        let text = format!("listen = \"127.0.0.1:{port}\"\ndata-dir = {data:?}\nplugins-dir = {drop_in:?}\n");
        fs::write(folder.path().join("convergence.toml"), text).unwrap();
        Self { folder, port }
    }

    fn start(&self) -> Server {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(self.folder.path().join("convergence.toml"))
            .env_remove("DATABASE_URL")
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Server { child, port: self.port }
    }

    /// What a server holds that has been asked once whether it is there, and then left alone.
    fn memory(&self) -> Memory {
        // The first start compiles; only the second is what an operator's server looks like.
        // Which answers anything else than 200 until the server has started.
        self.start().wait_for("/api/v1/tenant");
        let server = self.start();
        server.wait_for("/api/v1/tenant");
        sleep(SETTLE);
        Memory::of(server.child.id())
    }
}

/// A running server; dropped, it is killed.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Waits until a path answers 200.
    fn wait_for(&self, path: &str) {
        let begun = Instant::now();
        while status(self.port, path) != Some(200) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{path} does not answer 200; is an engine running? see `convergence doctor`"
            );
            sleep(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn status(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Bytes of memory, as the kernel counts them.
struct Memory {
    /// Resident, shared pages counted whole.
    rss: f64,
    /// Resident, shared pages divided by who shares them.
    pss: f64,
    /// Resident and nobody else's.
    private: f64,
}

impl Memory {
    fn of(process: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))
            .expect("Linux tells how much memory a process has");
        let field = |name: &str| -> f64 {
            let line =
                text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
            line.split_ascii_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
        };
        Self { rss: field("Rss:"), pss: field("Pss:"), private: field("Private_Clean:") + field("Private_Dirty:") }
    }
}

fn fill(plugins: &Path) {
    let components = prepared("CONVERGENCE_COMPONENTS", "target/components");
    for kind in ["templates", "policies"] {
        for entry in fs::read_dir(components.join(kind)).unwrap() {
            let file = entry.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "wasm") {
                fs::copy(&file, plugins.join(file.file_name().unwrap())).unwrap();
            }
        }
    }
}

fn binary() -> PathBuf {
    prepared("CONVERGENCE_BIN", "target/release/convergence")
}

/// A file or folder the benchmark needs: from the environment, or where the chores of this repository put it.
fn prepared(variable: &str, usual: &str) -> PathBuf {
    let path = std::env::var_os(variable)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(usual), PathBuf::from);
    assert!(path.exists(), "there is no {}: run `cargo xtask bench footprint`, which makes it", path.display());
    path
}

struct Percentiles {
    p50: Duration,
    p95: Duration,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self { p50: times[times.len() / 2], p95: times[times.len() * 95 / 100] }
    }
}

fn millis(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1e3)
}

fn mib(bytes: f64) -> String {
    format!("{:.1}MiB", bytes / MIB)
}
