//! `[build]`: what images are built from, and what building may use.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use convergence_runtime::docker::{BuildBounds, DockerConfig};
use serde::Deserialize;

/// The driver of engines whose builds can be bounded: under another one they are in control groups of other names.
const CGROUP_DRIVER: &str = "cgroupfs";

/// How images are built.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Build {
    /// Images that templates and tenants may start from, beyond Docker's official ones and those of `[images]`.
    pub(crate) allow_images: Vec<String>,
    /// PEM file of certificate authorities for the network of a build; absent from the final image.
    pub(crate) ca_bundle: Option<PathBuf>,
    /// Seconds one build may take.
    pub(crate) timeout_seconds: u64,
    /// Whether applications may be built from a Dockerfile of their own.
    pub(crate) own_dockerfile: bool,
    /// Builds that are under way at the same time.
    pub(crate) at_once: usize,
    /// MiB of memory that all builds together may use; not bounded where absent.
    pub(crate) memory_mb: Option<u32>,
    /// Thousandths of a core that all builds together may use; not bounded where absent.
    pub(crate) cpu_millis: Option<u32>,
    /// Processes and threads that all builds together may have; not bounded where absent.
    pub(crate) pids: Option<u32>,
    /// MiB of the engine's cache of builds that are kept.
    pub(crate) cache_max_mb: u64,
    /// Hours that something of that cache is kept which no build uses.
    pub(crate) cache_keep_hours: u64,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            allow_images: Vec::new(),
            ca_bundle: None,
            timeout_seconds: 900,
            own_dockerfile: false,
            at_once: DockerConfig::BUILDS_AT_ONCE,
            memory_mb: None,
            cpu_millis: None,
            pids: None,
            cache_max_mb: 20 << 10,
            cache_keep_hours: 7 * 24,
        }
    }
}

impl Build {
    /// What all builds together may use.
    pub(crate) fn bounds(&self) -> BuildBounds {
        BuildBounds { memory_mb: self.memory_mb, cpu_millis: self.cpu_millis, pids: self.pids }
    }

    /// Why the bounds that are configured would bound nothing, and what to do. An engine that does not answer has no `driver`;
    /// it is asked again before each build.
    pub(crate) fn futile_bounds(&self, socket: Option<&str>, driver: Option<&str>) -> Option<String> {
        if self.bounds() == BuildBounds::default() {
            return None;
        }
        if is_elsewhere(socket) {
            return Some(
                "`memory-mb`, `cpu-millis` and `pids` in [build] bound the builds of this machine's engine, and the engine is \
                 reached by TCP; remove them"
                    .to_owned(),
            );
        }
        let driver = driver.filter(|driver| *driver != CGROUP_DRIVER)?;
        Some(format!(
            "`memory-mb`, `cpu-millis` and `pids` in [build] need an engine with the cgroup driver `{CGROUP_DRIVER}`, and this \
             engine has {driver:?} (`docker info`); write \"exec-opts\": [\"native.cgroupdriver={CGROUP_DRIVER}\"] in its \
             daemon.json and restart it, or remove them"
        ))
    }

    /// Sets the bounds once, so that a machine where that is impossible is found before the first build, and lifts those of an
    /// earlier configuration.
    ///
    /// # Errors
    /// They cannot be set: why, and what to do.
    pub(crate) fn prove_bounds(&self, socket: Option<&str>, driver: Option<&str>) -> Result<()> {
        if let Some(reason) = self.futile_bounds(socket, driver) {
            bail!("{reason}");
        }
        if self.bounds() == BuildBounds::default() {
            // Who bounds nothing need not be able to.
            if !is_elsewhere(socket)
                && let Err(error) = self.bounds().set()
            {
                tracing::warn!(%error, "builds are still bounded as an earlier configuration said, and this server cannot lift it");
            }
            return Ok(());
        }
        self.bounds().set().context(
            "cannot bound builds: run the server as root on the machine of the engine, or remove `memory-mb`, `cpu-millis` and \
             `pids` from [build] in the configuration",
        )
    }

    /// How long one build may take.
    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// How long something of the cache is kept that no build uses.
    pub(crate) fn cache_keep(&self) -> Duration {
        Duration::from_secs(self.cache_keep_hours * 3600)
    }
}

/// Whether the engine may be on another machine, whose control groups are not the ones here.
fn is_elsewhere(socket: Option<&str>) -> bool {
    socket.is_some_and(|socket| ["tcp:", "http:"].iter().any(|scheme| socket.starts_with(scheme)))
}
