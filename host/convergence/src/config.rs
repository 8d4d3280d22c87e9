//! What the operator decides: a TOML file, and a few environment variables that win over it.
//!
//! Every key has a default, so that no file is needed to begin with. A key nobody knows is an error, because a
//! mistyped key that is silently ignored is found at 3 a.m. `docs/configuration.md` lists all of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use convergence_model::Limits;
use convergence_plugin::oci::{Registry, RegistrySettings};
use convergence_plugin::trust::{TrustPolicy, TrustSettings};
use convergence_provision::ReconcileSettings;
use convergence_store::SubnetPool;
use convergence_work::WorkSettings;
use serde::Deserialize;
use serde::de::Error as _;

/// Everything the operator decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the API listens. Loopback only, as long as the server knows no keys.
    #[serde(deserialize_with = "sense::address")]
    pub(crate) listen: SocketAddr,
    /// Where the server keeps its database, its master key and compiled plugins.
    pub(crate) data_dir: PathBuf,
    /// Where plugins are dropped; `<data-dir>/plugins` where absent.
    pub(crate) plugins_dir: Option<PathBuf>,
    /// `postgres://…`, or the path of an SQLite file; `<data-dir>/convergence.db` where absent.
    pub(crate) database: Option<String>,
    /// Seconds a request that starts something waits for its outcome.
    pub(crate) wait_seconds: u64,
    pub(crate) log: Log,
    pub(crate) operations: Operations,
    pub(crate) reconcile: Reconcile,
    pub(crate) docker: Docker,
    /// What images resolve to: `"node:22-bookworm-slim" = "registry.example/node:22"`, or by prefix.
    pub(crate) images: BTreeMap<String, String>,
    pub(crate) build: build::Build,
    pub(crate) tenants: Tenants,
    pub(crate) sources: sources::Sources,
    pub(crate) plugins: Plugins,
    /// Whose plugins are taken.
    pub(crate) trust: TrustSettings,
    /// Registries that plugins come from, by `host` or `host:port`, where there is something to say about one.
    pub(crate) registries: BTreeMap<String, Registry>,
}

/// What is logged, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Log {
    /// For example `info,convergence_provision=debug`; `RUST_LOG` wins.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Human-readable.
    Text,
    /// For programs: one object a line.
    Json,
}

/// The engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Docker {
    /// The engine's socket; `DOCKER_HOST`, or Docker's default, where absent.
    pub(crate) socket: Option<String>,
    /// Seconds one call of the engine may take; builds and pulls have limits of their own.
    pub(crate) timeout_seconds: u64,
    /// Comes before a tenant's number in the names of containers, and before `/org-…` in those of images. Two servers on
    /// one engine need different ones.
    pub(crate) name_prefix: String,
}

/// What tenants get.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Tenants {
    /// Ports of the host, lowest first: `3001-3999`.
    #[serde(deserialize_with = "port_range")]
    pub(crate) ports: RangeInclusive<u16>,
    /// Where those ports are published.
    pub(crate) publish_address: IpAddr,
    /// A pool cut into /28 networks, one a tenant: `10.201.0.0/16`.
    #[serde(deserialize_with = "subnet_pool")]
    pub(crate) subnets: SubnetPool,
    /// Where tenants reach the platform; `http://host.docker.internal:<port>/api/v1` where absent.
    pub(crate) api_url: Option<String>,
    /// Seconds a started tenant may take to answer its probe.
    pub(crate) ready_seconds: u64,
    /// How many tenants an organization may have; no bound where absent.
    pub(crate) max_per_organization: Option<u32>,
    /// Images of a tenant that are kept, so that revisions can be restored.
    pub(crate) images_keep: u32,
    pub(crate) default_limits: DefaultLimits,
}

/// How what is asked for is carried out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Operations {
    /// Operations on containers carried out at the same time.
    pub(crate) concurrency: usize,
    /// Operations that wait for an answer from the network, carried out at the same time.
    pub(crate) network_concurrency: usize,
    /// Operations that use the processor, carried out at the same time.
    pub(crate) batch_concurrency: usize,
    /// Operations on containers that may be queued or running; beyond that requests are answered 503.
    pub(crate) queue_max: u32,
    /// Seconds one is tried before it is given up and undone.
    pub(crate) patience_seconds: u64,
    /// Seconds a server that is not heard of keeps an operation from the others.
    pub(crate) lease_seconds: u64,
    /// Seconds a stopping server lets operations go on before it hands them over.
    pub(crate) drain_seconds: u64,
    /// Days that what was done is kept, with its events and idempotency keys.
    pub(crate) keep_days: u32,
}

/// How what is there is kept as it is wanted.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Reconcile {
    /// Seconds between two looks at everything.
    pub(crate) interval_seconds: u64,
    /// What becomes of containers, networks and images that belong to nobody.
    pub(crate) orphans: Orphans,
    /// What becomes of volumes that belong to nobody.
    pub(crate) orphan_volumes: Orphans,
    /// Seconds something must belong to nobody before it is removed.
    pub(crate) grace_seconds: u64,
    /// Things that belong to nobody and may be removed at once; more of them wait for an operator.
    pub(crate) sweep_max: u32,
    /// Whether what runs and belongs to nobody is removed without an operator's order.
    pub(crate) sweep_running: bool,
    /// How often an app may end by itself before its tenant is stopped.
    pub(crate) crashes_max: u32,
    /// Seconds an app must stay up for its earlier ends to be forgiven.
    pub(crate) stable_seconds: u64,
    /// Seconds the health check of an app that runs may fail before the app is restarted.
    pub(crate) unhealthy_seconds: u64,
}

/// What becomes of what belongs to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Orphans {
    /// It is removed.
    Remove,
    /// It is told of.
    Report,
}

/// What a tenant gets that asks for nothing.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct DefaultLimits {
    /// Thousandths of a core.
    cpu_millis: u32,
    memory_mb: u32,
    disk_mb: u32,
    pids: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            data_dir: PathBuf::from("data"),
            plugins_dir: None,
            database: None,
            wait_seconds: 300,
            log: Log::default(),
            operations: Operations::default(),
            reconcile: Reconcile::default(),
            docker: Docker::default(),
            images: BTreeMap::new(),
            build: build::Build::default(),
            tenants: Tenants::default(),
            sources: sources::Sources::default(),
            plugins: Plugins::default(),
            trust: TrustSettings::default(),
            registries: BTreeMap::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Operations {
    fn default() -> Self {
        Self {
            concurrency: 8,
            network_concurrency: 1000,
            batch_concurrency: 2,
            queue_max: 1000,
            patience_seconds: 3600,
            lease_seconds: 15,
            drain_seconds: 20,
            keep_days: 30,
        }
    }
}

impl Default for Reconcile {
    fn default() -> Self {
        Self {
            interval_seconds: 30,
            orphans: Orphans::Remove,
            orphan_volumes: Orphans::Report,
            grace_seconds: 600,
            sweep_max: 10,
            sweep_running: false,
            crashes_max: 8,
            stable_seconds: 60,
            unhealthy_seconds: 60,
        }
    }
}

impl Config {
    /// How what is there is kept as it is wanted.
    pub(crate) fn reconcile(&self) -> ReconcileSettings {
        let Reconcile {
            interval_seconds,
            orphans,
            orphan_volumes,
            grace_seconds,
            sweep_max,
            sweep_running,
            crashes_max,
            stable_seconds,
            unhealthy_seconds,
        } = self.reconcile;
        ReconcileSettings {
            interval: Duration::from_secs(interval_seconds),
            grace: Duration::from_secs(grace_seconds),
            remove: orphans == Orphans::Remove,
            remove_volumes: orphan_volumes == Orphans::Remove,
            sweep_max,
            sweep_running,
            crashes_max,
            stable: Duration::from_secs(stable_seconds),
            unhealthy: Duration::from_secs(unhealthy_seconds),
            keep: Duration::from_secs(u64::from(self.operations.keep_days) * 24 * 3600),
            ..ReconcileSettings::default()
        }
    }
}

impl Operations {
    /// How operations are carried out by the server that calls itself `worker`.
    pub(crate) fn settings(self, worker: String) -> WorkSettings {
        let operations = self;
        WorkSettings {
            worker,
            concurrency: operations.concurrency,
            network_concurrency: operations.network_concurrency,
            batch_concurrency: operations.batch_concurrency,
            backlog_max: operations.queue_max,
            patience: Duration::from_secs(operations.patience_seconds),
            lease: Duration::from_secs(operations.lease_seconds),
            drain: Duration::from_secs(operations.drain_seconds),
            ..WorkSettings::default()
        }
    }
}

impl Default for Docker {
    fn default() -> Self {
        Self { socket: None, timeout_seconds: 60, name_prefix: "convergence-tenant".to_owned() }
    }
}

impl Default for Tenants {
    fn default() -> Self {
        Self {
            ports: 3001..=3999,
            publish_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            subnets: SubnetPool { first: Ipv4Addr::new(10, 201, 0, 0), count: 4096 },
            api_url: None,
            ready_seconds: 60,
            max_per_organization: None,
            images_keep: 5,
            default_limits: DefaultLimits::default(),
        }
    }
}

impl Default for DefaultLimits {
    fn default() -> Self {
        let Limits { cpu_millis, memory_mb, disk_mb, pids, .. } = Limits::DEFAULT;
        Self { cpu_millis, memory_mb, disk_mb, pids }
    }
}

impl From<DefaultLimits> for Limits {
    fn from(limits: DefaultLimits) -> Self {
        let DefaultLimits { cpu_millis, memory_mb, disk_mb, pids } = limits;
        Self { cpu_millis, memory_mb, disk_mb, pids, replicas: 1 }
    }
}

impl Config {
    /// Reads the file if one is named, then the environment (`DATABASE_URL`, `DOCKER_HOST`), then the flag.
    ///
    /// # Errors
    /// The file cannot be read, has a key nobody knows, or a value that makes no sense.
    pub(crate) fn load(file: Option<&Path>, listen: Option<SocketAddr>) -> Result<Self> {
        let mut config = match file {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read the configuration {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("the configuration {} is wrong", path.display()))?
            }
            None => Self::default(),
        };
        config.database = variable("DATABASE_URL").or(config.database);
        config.docker.socket = config.docker.socket.or_else(|| variable("DOCKER_HOST"));
        config.listen = listen.unwrap_or(config.listen);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if !convergence_access::development::may_bind(self.listen) {
            bail!(
                "`listen = \"{}\"` is not a loopback address, and until keys exist the server answers without one: \
                 listen on 127.0.0.1 or [::1]",
                self.listen
            );
        }
        let prefix = &self.docker.name_prefix;
        let good = (1..=40).contains(&prefix.len())
            && prefix.starts_with(|c: char| c.is_ascii_lowercase())
            && !prefix.ends_with('-')
            && prefix.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            bail!(
                "`name-prefix = {prefix:?}` in [docker] must be 1 to 40 lower-case letters, digits and '-', beginning with a letter and not ending with '-'"
            );
        }
        let (operations, limits) = (&self.operations, self.tenants.default_limits);
        for (key, value, least, most) in [
            ("concurrency", operations.concurrency as u64, 1, 1000),
            ("network-concurrency", operations.network_concurrency as u64, 1, 100_000),
            ("batch-concurrency", operations.batch_concurrency as u64, 1, 1000),
            ("queue-max", operations.queue_max.into(), 1, 1_000_000),
            ("patience-seconds", operations.patience_seconds, 1, 30 * 24 * 3600),
            ("lease-seconds", operations.lease_seconds, 3, 3600),
            ("drain-seconds", operations.drain_seconds, 0, 50),
            ("wait-seconds", self.wait_seconds, 0, 24 * 3600),
            // Shorter than what bounds a step.
            ("timeout-seconds of [docker]", self.docker.timeout_seconds, 1, 100),
            ("timeout-seconds of [build]", self.build.timeout_seconds, 1, 24 * 3600),
            ("at-once of [build]", self.build.at_once as u64, 1, 1000),
            ("memory-mb of [build]", self.build.memory_mb.unwrap_or(64).into(), 64, 1 << 30),
            ("cpu-millis of [build]", self.build.cpu_millis.unwrap_or(100).into(), 100, 1_000_000),
            ("pids of [build]", self.build.pids.unwrap_or(16).into(), 16, 4_194_304),
            ("cache-max-mb of [build]", self.build.cache_max_mb, 0, 1 << 40),
            ("cache-keep-hours of [build]", self.build.cache_keep_hours, 1, 24 * 366),
            ("ready-seconds", self.tenants.ready_seconds, 1, 24 * 3600),
            ("images-keep", self.tenants.images_keep.into(), 1, 1000),
            ("max-mb of [sources]", self.sources.max_mb, 1, 1 << 20),
            ("unpacked-max-mb of [sources]", self.sources.unpacked_max_mb, 1, 1 << 20),
            ("files-max of [sources]", self.sources.files_max as u64, 1, 1_000_000),
            ("at-once of [sources]", self.sources.at_once as u64, 1, 1000),
            ("keep-max-mb of [sources]", self.sources.keep_max_mb, 1, 1 << 30),
            ("keep-hours of [sources]", self.sources.keep_hours, 1, 24 * 366),
            ("git-seconds of [sources]", self.sources.git_seconds, 1, 900),
            ("interval-seconds", self.reconcile.interval_seconds, 1, 3600),
            (
                "cpu-millis of [tenants.default-limits]",
                limits.cpu_millis.into(),
                Limits::CPU_MILLIS_MIN.into(),
                1_000_000,
            ),
            ("memory-mb of [tenants.default-limits]", limits.memory_mb.into(), Limits::MEMORY_MB_MIN.into(), 1 << 30),
            // 0 is no bound at all to an engine.
            ("pids of [tenants.default-limits]", limits.pids.into(), 1, 4_194_304),
            ("sweep-max", self.reconcile.sweep_max.into(), 0, 1_000_000),
            ("crashes-max", self.reconcile.crashes_max.into(), 0, 1000),
            ("keep-days", operations.keep_days.into(), 1, 36_500),
        ] {
            if !(least..=most).contains(&value) {
                bail!("`{key} = {value}` in the configuration must be from {least} to {most}");
            }
        }
        TrustPolicy::new(self.trust.clone())?;
        sense::check(self)?;
        if self.tenants.ports.contains(&self.listen.port()) {
            bail!(
                "`ports` in [tenants] contains the server's own port {}; choose a range without it",
                self.listen.port()
            );
        }
        Ok(())
    }

    /// Where sources are kept.
    pub(crate) fn sources_dir(&self) -> PathBuf {
        self.sources.folder.clone().unwrap_or_else(|| self.data_dir.join("sources"))
    }

    /// Where plugins are dropped.
    pub(crate) fn plugins_dir(&self) -> PathBuf {
        self.plugins_dir.clone().unwrap_or_else(|| self.data_dir.join("plugins"))
    }

    /// What is said about registries.
    pub(crate) fn registries(&self) -> RegistrySettings {
        RegistrySettings { registries: self.registries.clone(), ..RegistrySettings::default() }
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> String {
        self.database.clone().unwrap_or_else(|| self.data_dir.join("convergence.db").display().to_string())
    }

    /// Where tenants reach the platform.
    pub(crate) fn api_url(&self) -> String {
        let port = self.listen.port();
        self.tenants.api_url.clone().unwrap_or_else(|| format!("http://host.docker.internal:{port}/api/v1"))
    }
}

/// A variable of the environment. One that is set to nothing is as good as absent: that is how it is taken away for one
/// command, and how service managers and Compose files leave it out.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn port_range<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<RangeInclusive<u16>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parse = || {
        let (first, last) = text.split_once('-')?;
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first >= 1024 && first <= last).then_some(first..=last)
    };
    parse().ok_or_else(|| {
        D::Error::custom(format!("{text:?} is not a range of ports; write for example \"3001-3999\", from 1024 up"))
    })
}

fn subnet_pool<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SubnetPool, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parse = || {
        let (address, bits) = text.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let aligned = bits > 0 && u32::from(address).trailing_zeros() >= 32 - bits;
        let aligned = aligned && sense::is_private(address, bits);
        ((8..=28).contains(&bits) && aligned).then(|| SubnetPool { first: address, count: 1 << (28 - bits) })
    };
    parse().ok_or_else(|| {
        D::Error::custom(format!(
            "{text:?} is not a pool of private addresses; write for example \"10.201.0.0/16\", from /8 to /28, \
             within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10"
        ))
    })
}

mod build;
mod plugins;
mod sense;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use plugins::Plugins;
pub(crate) use sense::listen;
