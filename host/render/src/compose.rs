//! The Compose file of a workload: what is shown is what runs.
//!
//! The file has no `version`. Both readers take it for the Compose specification then: `docker-compose` 1.29, where
//! limits written on the service take effect on `up` (measured; under `version: "3"` they would not), and Compose 2,
//! which warns of a version. Strings are always quoted, since the two readers differ in what they take for
//! a number or a boolean (`yes`, `1:20`, `1_000`, `0o7`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use convergence_model::workload::{EnvValue, NO_NEIGHBOURS, OPEN_FILES, Published, USER, Workload};
use serde::Serialize;

use crate::escape::compose as literal;

#[derive(Serialize)]
struct File {
    services: BTreeMap<&'static str, Service>,
    networks: BTreeMap<&'static str, NetworkEntry>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, Named>,
}

#[derive(Serialize)]
struct Service {
    image: String,
    container_name: String,
    hostname: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    init: bool,
    ipc: &'static str,
    user: String,
    read_only: bool,
    cap_drop: Vec<&'static str>,
    security_opt: Vec<&'static str>,
    environment: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    networks: Vec<&'static str>,
    extra_hosts: Vec<String>,
    tmpfs: Vec<String>,
    volumes: Vec<String>,
    cpus: String,
    cpu_shares: u32,
    mem_limit: String,
    memswap_limit: String,
    mem_reservation: String,
    pids_limit: u32,
    ulimits: BTreeMap<&'static str, Ulimit>,
    logging: Logging,
    healthcheck: Healthcheck,
    restart: &'static str,
    stop_signal: String,
    stop_grace_period: String,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Ulimit {
    soft: u32,
    hard: u32,
}

#[derive(Serialize)]
struct Logging {
    driver: &'static str,
    options: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Healthcheck {
    Disabled { disable: bool },
    Command { test: Vec<String>, interval: String, timeout: String, retries: u8, start_period: String },
}

#[derive(Serialize)]
struct NetworkEntry {
    name: String,
    driver: &'static str,
    driver_opts: BTreeMap<&'static str, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipam: Option<Ipam>,
}

#[derive(Serialize)]
struct Ipam {
    config: Vec<Pool>,
}

#[derive(Serialize)]
struct Pool {
    subnet: String,
}

#[derive(Serialize)]
struct Named {
    name: String,
}

/// Writes the Compose file. Secrets are references (`${CONVERGENCE_API_KEY:?…}`), to be set by the person who brings it up;
/// every other `$` stands for itself.
pub fn compose(workload: &Workload) -> String {
    let volumes = workload.volumes.iter();
    let file = File {
        services: BTreeMap::from([("tenant", service(workload))]),
        networks: BTreeMap::from([("tenant", network(workload))]),
        volumes: volumes.map(|mount| (mount.volume.clone(), Named { name: literal(&mount.volume) })).collect(),
    };
    let options = serde_saphyr::ser_options! { quote_all: true };
    // Maps with string keys, lists, strings, numbers: nothing in it can fail to serialize.
    let yaml = serde_saphyr::to_string_with_options(&file, options).unwrap_or_default();
    format!("# Written by Convergence. Set the variables it asks for, then: docker-compose up\n{yaml}")
}

fn service(workload: &Workload) -> Service {
    let limits = &workload.limits;
    Service {
        image: literal(&workload.image),
        container_name: literal(&workload.name),
        hostname: literal(&workload.name),
        entrypoint: Vec::new(),
        command: literals(&workload.command),
        init: true,
        ipc: "private",
        user: format!("{USER}:{USER}"),
        read_only: true,
        cap_drop: vec!["ALL"],
        security_opt: vec!["no-new-privileges:true"],
        environment: workload.env.iter().map(|(name, value)| variable(name, value)).collect(),
        ports: workload.published.map(|published| port(published, workload.container_port)).into_iter().collect(),
        networks: vec!["tenant"],
        extra_hosts: workload.host_aliases.iter().map(|alias| format!("{}:host-gateway", literal(alias))).collect(),
        tmpfs: tmpfs(workload),
        volumes: workload.volumes.iter().map(|m| literal(&format!("{}:{}", m.volume, m.path))).collect(),
        cpus: format!("{}.{:03}", limits.cpu_millis / 1000, limits.cpu_millis % 1000),
        cpu_shares: limits.cpu_shares(),
        mem_limit: format!("{}m", limits.memory_mb),
        memswap_limit: format!("{}m", limits.memory_mb),
        mem_reservation: format!("{}m", limits.memory_reservation_mb()),
        pids_limit: limits.pids,
        ulimits: BTreeMap::from([("nofile", ulimit(OPEN_FILES)), ("core", ulimit(0))]),
        logging: Logging {
            driver: "json-file",
            options: BTreeMap::from([
                ("max-size", format!("{}m", workload.log_rotation.max_size_mb)),
                ("max-file", workload.log_rotation.max_files.to_string()),
            ]),
        },
        healthcheck: healthcheck(workload),
        restart: "unless-stopped",
        stop_signal: literal(&workload.stop_signal),
        stop_grace_period: format!("{}s", workload.stop_grace_seconds),
        labels: workload.labels.iter().map(|(name, value)| (name.clone(), literal(value))).collect(),
    }
}

fn ulimit(most: u32) -> Ulimit {
    Ulimit { soft: most, hard: most }
}

fn literals(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| literal(text)).collect()
}

fn variable(name: &str, value: &EnvValue) -> String {
    match value {
        EnvValue::Literal(value) => format!("{name}={}", literal(value)),
        EnvValue::Secret(_) => format!("{name}=${{{name}:?set {name} to the secret of this tenant}}"),
    }
}

fn port(published: Published, inside: u16) -> String {
    let address = match published.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    format!("{address}:{}:{inside}/tcp", published.port)
}

fn tmpfs(workload: &Workload) -> Vec<String> {
    workload.tmpfs.iter().map(|tmpfs| literal(&format!("{}:{}", tmpfs.path, tmpfs.options()))).collect()
}

fn healthcheck(workload: &Workload) -> Healthcheck {
    let health = &workload.health;
    match &health.in_container {
        None => Healthcheck::Disabled { disable: true },
        Some(argv) => Healthcheck::Command {
            test: std::iter::once("CMD".to_owned()).chain(literals(argv)).collect(),
            interval: format!("{}s", health.interval_seconds),
            timeout: format!("{}s", health.timeout_seconds),
            retries: health.retries,
            start_period: format!("{}s", health.start_period_seconds),
        },
    }
}

fn network(workload: &Workload) -> NetworkEntry {
    let addresses = workload.boundary.addresses;
    NetworkEntry {
        name: literal(&workload.boundary.name),
        driver: "bridge",
        driver_opts: BTreeMap::from([NO_NEIGHBOURS]),
        ipam: addresses.map(|addresses| Ipam { config: vec![Pool { subnet: addresses.to_string() }] }),
    }
}
