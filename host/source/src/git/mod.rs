//! Sources from Git repositories.
//!
//! The `git` of the server fetches one commit into a folder that goes away, and writes it as a tar; the tar is then looked at
//! and kept as one that was uploaded. Nothing is checked out and nothing of the repository is run. What git can reach, and what
//! it may use, is bounded: see [`GitSettings`] and `run.rs`.

mod address;
mod error;
mod job;
mod network;
mod run;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use convergence_model::Secret;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

pub use address::{GitAddress, GitHost};
pub use error::GitError;
pub use network::Network;

use crate::Sources;
use crate::receive::Received;

/// What the operator allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSettings {
    /// Hosts that repositories are fetched from; none by default. HTTP without TLS is allowed where a host says so.
    pub hosts: Vec<GitHost>,
    /// Networks beside the public internet that these hosts may be in.
    pub networks: Vec<Network>,
    /// A file of certificates to trust, in place of those of the system.
    pub ca_bundle: Option<PathBuf>,
    /// How long one fetch may take; never longer than [`crate::SourceLimits::patience`].
    pub patience: Duration,
    /// The program: a path, or a name that is looked for in the usual folders. The `PATH` of the server is not used.
    pub program: PathBuf,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            networks: Vec::new(),
            ca_bundle: None,
            patience: Duration::from_secs(120),
            program: PathBuf::from("git"),
        }
    }
}

impl GitSettings {
    /// What the git that fetches says of its version, found as a fetch finds it. Blocks while it runs.
    ///
    /// # Errors
    /// [`GitError::Unusable`]: there is none, or it is too old.
    pub fn version(&self) -> Result<String, GitError> {
        let mut git = Command::new(&self.program);
        git.arg("--version").env_clear().env("PATH", run::PATH).stdin(Stdio::null());
        let unusable = |why: &str| GitError::Unusable(format!("{} {why} in {}", self.program.display(), run::PATH));
        let output = git.output().map_err(|error| unusable(&format!("cannot be started ({error})")))?;
        if !output.status.success() {
            return Err(unusable("does not say its version"));
        }
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        job::new_enough(&said).map(|()| said)
    }
}

/// A source that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The source, kept.
    pub received: Received,
    /// The hash of the commit that it is, 40 or 64 hexadecimal digits.
    pub commit: String,
}

impl Sources {
    /// Fetches one commit of a repository and keeps its files. The token is sent as a password to this host only.
    ///
    /// The commit is the one that was fetched, whatever happens to the branch meanwhile. A fetch takes a turn of the uploads.
    /// A proxy is never used: which addresses are connected to would be the proxy's to decide.
    ///
    /// # Errors
    /// [`GitError`]; nothing is kept then.
    pub async fn fetch(
        &self,
        address: &GitAddress,
        token: Option<&Secret>,
        settings: &GitSettings,
    ) -> Result<Fetched, GitError> {
        let host = address.host();
        if !settings.hosts.contains(host) && settings.hosts.contains(&host.with_tls()) {
            return Err(GitError::Url("this host is fetched from with TLS"));
        }
        if !settings.hosts.contains(host) {
            let allowed = settings.hosts.iter().map(ToString::to_string).collect();
            return Err(GitError::HostNotAllowed { host: host.to_string(), allowed });
        }
        let turn = self.turn()?;
        let end = Instant::now() + self.git_patience(settings);
        let addresses = network::addresses(host, &settings.networks, end).await?;
        self.fetch_from(addresses, address, token, settings, turn, end).await
    }

    /// Fetches from a host that is at these addresses, whatever its name leads to.
    async fn fetch_from(
        &self,
        addresses: Vec<IpAddr>,
        address: &GitAddress,
        token: Option<&Secret>,
        settings: &GitSettings,
        turn: OwnedSemaphorePermit,
        end: Instant,
    ) -> Result<Fetched, GitError> {
        // Dropped with this future, which the other end sees.
        let (_waiting, caller) = mpsc::sync_channel(0);
        let patience = self.git_patience(settings);
        let bounds = run::Bounds { patience, end: end.into_std(), caller, reserve: self.limits.reserve };
        let (folder, limits, address) = (self.incoming(), self.limits, address.clone());
        let (settings, token) = (settings.clone(), token.cloned());
        let work = move || {
            // Held until git is gone, also where nobody waits for it any more.
            let _turn = turn;
            let wall = run::Wall::new(&folder, &settings, &address, &addresses, token.as_ref(), bounds)?;
            job::fetch(&wall, &address, token.is_some(), &folder, limits)
        };
        let job::Got { made, commit } = tokio::task::spawn_blocking(work).await.map_err(io::Error::other)??;
        Ok(Fetched { received: self.keep(made).await?, commit })
    }

    /// What an upload left behind is removed by its age, and a fetch must not be taken for one.
    fn git_patience(&self, settings: &GitSettings) -> Duration {
        settings.patience.min(self.limits.patience)
    }
}

impl From<io::Error> for GitError {
    fn from(error: io::Error) -> Self {
        Self::Source(error.into())
    }
}
