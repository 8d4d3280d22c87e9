//! Our side: a server of its own, driven by its command line.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Before everything the benchmark has in the engine.
pub(crate) const PREFIX: &str = "convergence-bench-deploy";
const STARTUP: Duration = Duration::from_secs(120);

/// A running server; dropped, it is killed after its tenants are gone.
pub(crate) struct Site {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Site {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let plugins = folder.path().join("data/plugins");
        fs::create_dir_all(&plugins).unwrap();
        set_private(&folder.path().join("data"));
        let components =
            PathBuf::from(std::env::var("CONVERGENCE_COMPONENTS").expect("run `cargo xtask bench deploy`"));
        fs::copy(components.join("templates/node.wasm"), plugins.join("node.wasm")).unwrap();
        let port = free_port();
        let images = fs::read_to_string(std::env::var("CONVERGENCE_IMAGES").unwrap_or_default()).unwrap_or_default();
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\ndata-dir = {:?}\n[docker]\nname-prefix = \"{PREFIX}\"\n[tenants]\nports = \"{}-{}\"\n\
             subnets = \"10.232.0.0/24\"\n{images}",
            folder.path().join("data"),
            port + 1,
            port + 20,
        );
        let file = folder.path().join("convergence.toml");
        fs::write(&file, config).unwrap();
        let child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(file)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let site = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        let deadline = Instant::now() + STARTUP;
        while !site.cli(&["list"]).status.success() {
            assert!(Instant::now() < deadline, "the server does not start");
            sleep(Duration::from_millis(50));
        }
        site
    }

    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        Command::new(binary()).args(arguments).env("CONVERGENCE_URL", &self.url).stdin(Stdio::null()).output().unwrap()
    }

    /// Deploys a folder; how long it took, from the command's start to its end.
    pub(crate) fn deploy(&self, folder: &Path) -> Duration {
        let begun = Instant::now();
        let output = self.cli(&["deploy", folder.to_str().unwrap(), "--json"]);
        let took = begun.elapsed();
        assert!(output.status.success(), "{output:?}");
        took
    }

    /// The Dockerfile of a tenant.
    pub(crate) fn dockerfile(&self, tenant: &str) -> String {
        let url = format!("{}/api/v1/tenant/{tenant}/dockerfile", self.url);
        let output = Command::new("curl").args(["--silent", "--fail", &url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The image that a tenant runs.
    pub(crate) fn image(&self, tenant: &str) -> String {
        let url = format!("{}/api/v1/tenant/{tenant}/deployments?limit=1", self.url);
        let output = Command::new("curl").args(["--silent", "--fail", &url]).output().unwrap();
        let page: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        page["deployments"][0]["image"].as_str().unwrap().to_owned()
    }

    pub(crate) fn upload(&self, archive: &Path) {
        let (url, file) = (format!("{}/api/v1/sources", self.url), format!("@{}", archive.display()));
        let header = "Content-Type: application/x-tar";
        // `Expect` would add a round trip, and curl would read the whole file with --data-binary.
        let arguments = ["--silent", "--fail", "-X", "POST", "-H", header, "-H", "Expect:", "-T", &file[1..], &url];
        assert!(Command::new("curl").args(arguments).stdout(Stdio::null()).status().unwrap().success());
    }

    /// Bytes of memory that the server has.
    pub(crate) fn memory(&self) -> f64 {
        // Forgets the most it ever had.
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").ok();
        self.status("VmRSS")
    }

    /// The most it had since.
    pub(crate) fn most_memory(&self) -> f64 {
        self.status("VmHWM")
    }

    fn status(&self, key: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cli(&["destroy", "bench-app", "--yes"]);
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn binary() -> PathBuf {
    PathBuf::from(std::env::var("CONVERGENCE_BIN").expect("run `cargo xtask bench deploy`"))
}

fn free_port() -> u16 {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    port.min(60_000)
}

fn set_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}
