//! A PostgreSQL cluster of the tests' own: private, on a free loopback port, gone afterwards.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, command};

/// The cluster's superuser, whom it trusts on loopback.
const USER: &str = "convergence";

/// A running cluster; dropping it stops it and removes its files.
#[derive(Debug)]
pub(crate) struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Cluster {
    /// Makes and starts a cluster, installing PostgreSQL where it is missing. It does not wait for the disk: durability is
    /// PostgreSQL's own business, not what tests try.
    pub(crate) fn start() -> Result<Self> {
        Self::with("-c fsync=off -c full_page_writes=off -c synchronous_commit=off")
    }

    /// One that waits for the disk with every commit, as an operator's does.
    pub(crate) fn durable() -> Result<Self> {
        Self::with("")
    }

    fn with(durability: &str) -> Result<Self> {
        let binaries = match find_binaries() {
            Some(binaries) => binaries,
            None => {
                apt::install(&["postgresql"], "PostgreSQL, to test the store on it,")?;
                find_binaries().context("PostgreSQL is installed but its `initdb` is nowhere")?
            }
        };
        // In the temporary folder: as root the server runs as another user, who may be kept out of the repository.
        let folder = std::env::temp_dir().join(format!("convergence-postgres-{}", std::process::id()));
        let port = free_port()?;
        let cluster = Self { binaries, folder, port };
        cluster.create()?;
        cluster.launch(durability)?;
        println!("    PostgreSQL answers on 127.0.0.1:{port}");
        Ok(cluster)
    }

    /// Where tests reach it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    fn create(&self) -> Result<()> {
        let mut folder = Command::new("install");
        folder.args(["--directory", "--mode", "0700"]);
        if let Some(user) = unprivileged_user() {
            folder.args(["--owner", user]);
        }
        command::capture(folder.arg(&self.folder)).context("cannot make a folder for PostgreSQL")?;
        let mut initdb = self.program("initdb");
        initdb.arg("--pgdata").arg(self.data());
        initdb.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]);
        command::capture(&mut initdb).map(drop).context("cannot make a PostgreSQL cluster")
    }

    fn launch(&self, durability: &str) -> Result<()> {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c max_connections=300 {durability}",
            self.port
        );
        let log = self.folder.join("postgres.log");
        let mut start = self.program("pg_ctl");
        start.args(["start", "--wait", "--timeout", "60", "--pgdata"]).arg(self.data());
        start.arg("--log").arg(&log).args(["--options", &options]);
        // `capture` would wait for the server too, which inherits the pipes.
        let quiet = start
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let status = quiet.status().context("cannot start `pg_ctl`")?;
        anyhow::ensure!(status.success(), "PostgreSQL did not start; its last lines:\n{}", command::tail(&log));
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A PostgreSQL program, as the user the cluster belongs to: PostgreSQL refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let program = self.binaries.join(name);
        let mut command = match unprivileged_user() {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "--mode", "immediate", "--wait", "--pgdata"]).arg(self.data());
        if let Err(error) = command::capture(&mut stop) {
            println!("    note: PostgreSQL could not be stopped: {error:#}");
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            println!("    note: {} could not be removed: {error}", self.folder.display());
        }
    }
}

/// Whom the cluster belongs to when this chore runs as root; nobody else otherwise.
fn unprivileged_user() -> Option<&'static str> {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let exists = |user: &str| known.lines().any(|line| line.split(':').next() == Some(user));
    command::is_root().then(|| if exists("postgres") { "postgres" } else { "nobody" })
}

/// The folder with `initdb`, `pg_ctl` and `postgres`: Debian's newest, else wherever `PATH` has them.
fn find_binaries() -> Option<PathBuf> {
    let complete =
        |folder: &Path| ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file());
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    versions.into_iter().find(|folder| complete(folder)).or_else(|| {
        let initdb = fs::canonicalize(command::find("initdb")?).ok()?;
        initdb.parent().filter(|folder| complete(folder)).map(Path::to_owned)
    })
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback port is free")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "starts PostgreSQL, and installs it where it is missing"]
    fn a_cluster_answers_and_leaves_nothing() -> Result<()> {
        let cluster = Cluster::start()?;
        let mut question = cluster.program("psql");
        question.args([&cluster.url(), "--no-psqlrc", "--tuples-only", "--no-align", "--command", "CREATE DATABASE x"]);
        command::capture(&mut question)?;
        let (folder, port) = (cluster.folder.clone(), cluster.port);
        drop(cluster);
        assert!(!folder.exists());
        assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        Ok(())
    }
}
