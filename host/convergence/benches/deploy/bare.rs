//! The bare side: a build by the engine's API and `docker run`, with the Dockerfile, the limits and the bounds of ours.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::site::{PREFIX, Site};

const PATIENCE: Duration = Duration::from_secs(60);

/// Docker, by its command line.
pub(crate) struct Bare {
    dockerfile: String,
    builds: Cell<u32>,
}

impl Bare {
    pub(crate) fn of(site: &Site, tenant: &str) -> Self {
        Self { dockerfile: site.dockerfile(tenant), builds: Cell::new(0) }
    }

    /// Builds an image of a folder, and answers what it is called.
    pub(crate) fn build(&self, folder: &Path) -> String {
        self.builds.set(self.builds.get() + 1);
        let context = TempDir::new().unwrap();
        let source = context.path().join(".convergence/source");
        fs::create_dir_all(&source).unwrap();
        for name in ["package.json", "server.js"] {
            fs::copy(folder.join(name), source.join(name)).unwrap();
        }
        fs::write(context.path().join(".convergence/Dockerfile"), &self.dockerfile).unwrap();
        let tag = format!("{PREFIX}/bare:{}", self.builds.get());
        // By the API: `docker build` of newer clients needs a component that many machines do not have.
        let archive = context.path().join("context.tar");
        let mut tar = tar::Builder::new(fs::File::create(&archive).unwrap());
        tar.append_dir_all(".convergence", context.path().join(".convergence")).unwrap();
        tar.into_inner().unwrap();
        let url = format!("http://docker/build?version=2&t={tag}&dockerfile=.convergence/Dockerfile");
        let built = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--fail",
                "--unix-socket",
                &socket(),
                "--header",
                "content-type: application/x-tar",
            ])
            .args(["--data-binary", &format!("@{}", archive.display()), &url])
            .output()
            .unwrap();
        let answer = String::from_utf8_lossy(&built.stdout);
        assert!(built.status.success() && !answer.contains("errorDetail"), "{built:?}");
        tag
    }

    /// Runs an image in place of the one before until it answers; how long that took.
    pub(crate) fn run(&self, image: &str) -> Duration {
        let begun = Instant::now();
        let name = format!("{PREFIX}-bare");
        docker(&["rm", "--force", &name]);
        let options = [
            "--memory=512m",
            "--cpus=0.5",
            "--pids-limit=256",
            "--init",
            "--read-only",
            "--tmpfs=/tmp",
            "--user=10001:10001",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--publish=127.0.0.1::3000",
            "--env=PORT=3000",
        ];
        docker(&[&["run", "--detach", "--name", &name][..], &options, &[image]].concat());
        let port = docker(&["port", &name, "3000"]);
        let port = port.trim().rsplit(':').next().unwrap().parse().unwrap();
        while !answers(port) {
            assert!(begun.elapsed() < PATIENCE, "the bare container does not answer");
            sleep(Duration::from_millis(10));
        }
        begun.elapsed()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        docker(&["rm", "--force", &format!("{PREFIX}-bare")]);
        for number in 1..=self.builds.get() {
            docker(&["rmi", "--force", &format!("{PREFIX}/bare:{number}")]);
        }
    }
}

fn socket() -> String {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").to_owned()
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}
