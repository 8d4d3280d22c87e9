//! What is in the fake engine, and how it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use convergence_model::build::ImageBuild;
use convergence_model::workload::{Boundary, Workload, label};
use jiff::{SignedDuration, Timestamp};

use super::{Call, Fault, Readiness, Unkept};
use crate::builder::Pull;
use crate::error::RuntimeError;
use crate::fingerprint::{fingerprint, is_made_from, limits_label};
use crate::observed::{
    Change, Changeable, Changed, Deviation, End, Endpoint, HealthStatus, Instance, Observed, Reach, Rollout, State,
};
use crate::owned::{Owned, OwnedItem};
use crate::owner::Owner;
use crate::runtime::{Ensured, LOCAL_NODE, LogLine, LogQuery, LogSource, Ready, Removal};
use crate::single::Found;

pub(super) type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) journal: Vec<Call>,
    /// Every image that was asked for, and on whose behalf.
    pub(super) pulls: Vec<(String, Pull)>,
    pub(super) faults: HashMap<&'static str, VecDeque<Fault>>,
    /// By the length of the journal with the call in it.
    pub(super) faults_at: HashMap<usize, Fault>,
    pub(super) down: Option<RuntimeError>,
    pub(super) latency: Duration,
    pub(super) readiness: Readiness,
    pub(super) taken_ports: BTreeSet<u16>,
    /// The field in which containers are created differently from what is asked for.
    pub(super) distortion: Option<String>,
    /// What is claimed and not there.
    pub(super) unkept: Option<Unkept>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) containers: BTreeMap<String, Container>,
    boundaries: BTreeMap<String, (Boundary, Labels)>,
    pub(super) volumes: BTreeMap<String, Labels>,
    /// Bytes in volumes; nothing is in one that is not here.
    pub(super) filled: BTreeMap<String, Option<u64>>,
    /// Counts everything that gets an id or a time: the fake has a clock and randomness of its own.
    ticks: u32,
}

#[derive(Debug)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) labels: Labels,
    pub(super) build: Option<ImageBuild>,
}

#[derive(Debug)]
pub(super) struct Container {
    /// What it is now: its limits may have been changed since it was made.
    pub(super) workload: Workload,
    id: String,
    /// The runtime's own labels.
    made: Labels,
    state: State,
    replicas: u32,
    started_at: Option<Timestamp>,
    last_end: Option<End>,
    health: Option<HealthStatus>,
    lines: Vec<LogLine>,
    deviations: Vec<Deviation>,
}

impl World {
    /// Whether a capability of the fake's own is there.
    fn keeps(&self, capability: Unkept) -> bool {
        self.unkept != Some(capability)
    }

    /// How the call that was just noted is to go wrong.
    pub(super) fn fault(&mut self, method: &str) -> Option<Fault> {
        let at = self.journal.len();
        self.faults_at.remove(&at).or_else(|| self.faults.get_mut(method)?.pop_front())
    }

    pub(super) fn changed(&self, name: &str, change: Change) -> Option<Changed> {
        let container = self.containers.get(name)?;
        let labels = labels_of(container);
        let tenant = Owner::of(&labels)?.tenant;
        let (name, id) = (name.to_owned(), container.id.clone());
        Some(Changed { tenant, what: Changeable::Workload, name, id, labels, change })
    }

    pub(super) fn tick(&mut self) -> (String, Timestamp) {
        self.ticks = self.ticks.saturating_add(1);
        let at = Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(i64::from(self.ticks)));
        (format!("{:064x}", self.ticks), at.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(super) fn ensure_boundary(&mut self, boundary: &Boundary, labels: &Labels) -> Result<Ensured, RuntimeError> {
        let mut ensured = Ensured::Created;
        if let Some((existing, had)) = self.boundaries.get(&boundary.name) {
            if !same_tenant(had, labels) {
                return Err(conflict("network", &boundary.name, "it is not this tenant's"));
            }
            if existing == boundary && of_the_tenant(had) == of_the_tenant(labels) {
                return Ok(Ensured::Adopted);
            }
            self.drop_boundary(&boundary.name)?;
            ensured = Ensured::Replaced;
        }
        if let Some(addresses) = boundary.addresses
            && self.keeps(Unkept::LeasedAddresses)
            && self.boundaries.values().any(|(other, _)| other.addresses == Some(addresses))
        {
            return Err(RuntimeError::SubnetTaken { subnet: addresses.to_string() });
        }
        self.boundaries.insert(boundary.name.clone(), (boundary.clone(), labels.clone()));
        Ok(ensured)
    }

    pub(super) fn remove_boundary(&mut self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        match self.boundaries.get(name) {
            None => Ok(Removal::Absent),
            Some((_, labels)) if !owner.owns(|key| labels.get(key)) => Ok(Removal::Foreign),
            Some(_) => self.drop_boundary(name).map(|()| Removal::Removed),
        }
    }

    fn drop_boundary(&mut self, name: &str) -> Result<(), RuntimeError> {
        let attached = self
            .containers
            .values()
            .any(|container| container.workload.boundary.name == name && container.state == State::Running);
        if attached {
            return Err(conflict("network", name, "it has active endpoints"));
        }
        self.boundaries.remove(name);
        Ok(())
    }

    pub(super) fn find(&self, workload: &Workload) -> Option<Found> {
        let container = self.containers.get(&workload.name)?;
        Some(Found {
            id: container.id.clone(),
            ours: same_tenant(&container.workload.labels, &workload.labels),
            state: container.state,
            deviations: deviations(container, workload),
        })
    }

    pub(super) fn create(&mut self, workload: &Workload) -> Result<bool, RuntimeError> {
        if self.containers.contains_key(&workload.name) {
            return Ok(false);
        }
        if !self.images.contains_key(&workload.image) {
            return Err(RuntimeError::NotFound { what: format!("image {}", workload.image) });
        }
        let made = [(label::SPEC, fingerprint(workload)), (label::LIMITS, limits_label(workload.limits))];
        let container = Container {
            workload: workload.clone(),
            id: self.tick().0,
            made: made.map(|(key, value)| (key.to_owned(), value)).into(),
            state: State::Created,
            replicas: 1,
            started_at: None,
            last_end: None,
            health: None,
            lines: Vec::new(),
            deviations: self.distortion.iter().map(|field| deviation(field)).collect(),
        };
        self.containers.insert(workload.name.clone(), container);
        Ok(true)
    }

    /// Whether it runs now; false where its port is taken.
    pub(super) fn start(&mut self, name: &str, id: &str) -> Result<bool, RuntimeError> {
        let (_, now) = self.tick();
        let Some(container) = self.containers.get(name).filter(|container| container.id == id) else {
            return Err(no_container(name));
        };
        if container.state == State::Running {
            return Ok(true);
        }
        if !self.boundaries.contains_key(&container.workload.boundary.name) {
            return Err(RuntimeError::NotFound { what: format!("network {}", container.workload.boundary.name) });
        }
        let published = container.workload.published.filter(|_| self.keeps(Unkept::HostPorts));
        if let Some(port) = published.map(|published| published.port) {
            let has = |other: &Container| other.workload.published.is_some_and(|published| published.port == port);
            let rival = |other: &Container| other.state == State::Running && has(other);
            if self.taken_ports.contains(&port) || self.containers.values().any(rival) {
                return Ok(false);
            }
        }
        if let Some(container) = self.containers.get_mut(name) {
            // A volume that nobody made is made by the engine, as Docker does.
            for mount in &container.workload.volumes {
                self.volumes.entry(mount.volume.clone()).or_default();
            }
            container.state = State::Running;
            container.started_at = Some(now);
            container.health = None;
        }
        Ok(true)
    }

    pub(super) fn scale(&mut self, name: &str, replicas: u32) {
        let replicas = if self.keeps(Unkept::Replicas) { replicas } else { 1 };
        if let Some(container) = self.containers.get_mut(name) {
            container.replicas = replicas;
        }
    }

    pub(super) fn resize(&mut self, workload: &Workload) -> Result<(), RuntimeError> {
        let changes = self.keeps(Unkept::LiveLimits);
        match self.containers.get_mut(&workload.name) {
            None => Err(no_container(&workload.name)),
            Some(container) if !same_tenant(&container.workload.labels, &workload.labels) => {
                Err(conflict("container", &workload.name, "it is not this tenant's"))
            }
            Some(container) => {
                if changes {
                    container.workload.limits = workload.limits;
                }
                Ok(())
            }
        }
    }

    /// The name of what was asked for by its name or by its id.
    fn named(&self, key: &str) -> String {
        let by_id = self.containers.iter().find(|(_, container)| container.id == key);
        by_id.map_or(key, |(name, _)| name).to_owned()
    }

    pub(super) fn stop(&mut self, name: &str, owner: Owner<'_>) {
        let name = &self.named(name);
        if self.running(name).is_ok_and(|container| owner.owns(|key| container.workload.labels.get(key))) {
            self.crash(name, 143, false);
        }
    }

    pub(super) fn remove(&mut self, name: &str, owner: Owner<'_>) -> Removal {
        let name = &self.named(name);
        let Some(container) = self.containers.get(name) else { return Removal::Absent };
        if !owner.owns(|key| container.workload.labels.get(key)) {
            return Removal::Foreign;
        }
        self.containers.remove(name);
        Removal::Removed
    }

    /// Stops exactly this container, as an engine does that is asked by id.
    pub(super) fn halt(&mut self, name: &str, id: &str) {
        if self.containers.get(name).is_some_and(|container| container.id == id) {
            self.crash(name, 143, false);
        }
    }

    pub(super) fn discard(&mut self, name: &str, id: &str) {
        if self.containers.get(name).is_some_and(|container| container.id == id) {
            self.containers.remove(name);
        }
    }

    pub(super) fn crash(&mut self, name: &str, code: i64, oom: bool) {
        let (_, now) = self.tick();
        if let Some(container) = self.containers.get_mut(name) {
            container.state = State::Exited;
            container.last_end = Some(End { code: Some(code), oom, at: Some(now) });
        }
    }

    pub(super) fn hang(&mut self, name: &str) {
        if let Some(container) = self.containers.get_mut(name) {
            container.health = Some(HealthStatus::Unhealthy);
        }
    }

    pub(super) fn print(&mut self, name: &str, text: &str) {
        let (_, now) = self.tick();
        if let Some(container) = self.containers.get_mut(name) {
            container.lines.push(LogLine { source: LogSource::Stdout, at: Some(now), text: text.to_owned() });
        }
    }

    pub(super) fn tamper(&mut self, name: &str, field: &str) {
        if let Some(container) = self.containers.get_mut(name) {
            container.deviations.push(deviation(field));
        }
    }

    pub(super) fn running(&self, name: &str) -> Result<&Container, RuntimeError> {
        match self.containers.get(&self.named(name)) {
            Some(container) if container.state == State::Running => Ok(container),
            Some(_) => Err(conflict("container", name, "it does not run")),
            None => Err(no_container(name)),
        }
    }

    pub(super) fn observe(&self, name: &str) -> Option<Observed> {
        let name = &self.named(name);
        let container = self.containers.get(name)?;
        let image = self.images.get(&container.workload.image);
        let running = container.state == State::Running;
        let instances = (0..container.replicas).map(|number| Instance {
            id: if number == 0 { container.id.clone() } else { format!("{}.{number}", container.id) },
            node: LOCAL_NODE.to_owned(),
            state: container.state,
            address: self.address(&container.workload.boundary, number).filter(|_| running),
            restarts: 0,
            image_digest: image.map(|image| image.id.clone()).unwrap_or_default(),
            health: container.health,
            started_at: container.started_at,
            last_end: container.last_end,
        });
        let instances: Vec<_> = instances.collect();
        let own = instances.iter().filter_map(|instance| {
            let address = SocketAddr::new(instance.address?, container.workload.container_port);
            Some(Endpoint { reach: Reach::Instance, instance: Some(instance.id.clone()), address })
        });
        let published = container.workload.published.filter(|_| running && self.keeps(Unkept::HostPorts));
        let on_host = published.map(|published| Endpoint {
            reach: Reach::Published,
            instance: None,
            address: SocketAddr::new(published.address, published.port),
        });
        Some(Observed {
            name: name.clone(),
            labels: labels_of(container),
            endpoints: own.chain(on_host).collect(),
            rollout: Rollout::Complete,
            instances,
        })
    }

    /// The first address of a subnet is its own, the next one the gateway's.
    fn address(&self, boundary: &Boundary, number: u32) -> Option<IpAddr> {
        let text = boundary.addresses?.to_string();
        let leased: Ipv4Addr = text.split('/').next()?.parse().ok()?;
        let base = if self.keeps(Unkept::LeasedAddresses) { leased } else { Ipv4Addr::new(198, 51, 100, 0) };
        Some(IpAddr::V4(Ipv4Addr::from(u32::from(base).saturating_add(2).saturating_add(number))))
    }

    pub(super) fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        let container = self.containers.get(&workload.name).ok_or_else(|| no_container(&workload.name))?;
        Ok(deviations(container, workload))
    }

    pub(super) fn wait_ready(&mut self, name: &str, patience: Duration) -> Result<Ready, RuntimeError> {
        let readiness = self.readiness.clone();
        let container = self.containers.get(name).ok_or_else(|| no_container(name))?;
        let (log, port) = (newest(container, 20), container.workload.container_port);
        if let (State::Exited, Some(end)) = (container.state, container.last_end) {
            return Err(RuntimeError::Exited { code: end.code, oom: end.oom, log });
        }
        if container.state != State::Running {
            let last = "the container is created".to_owned();
            return Err(RuntimeError::NotReady { after: patience, last, port, listening: None, log });
        }
        match readiness {
            Readiness::Ready => Ok(Ready { after: Duration::ZERO, attempts: 1 }),
            Readiness::Never => {
                let last = "GET /health answered 503".to_owned();
                Err(RuntimeError::NotReady { after: patience, last, port, listening: None, log })
            }
            Readiness::Exits { code, oom } => {
                self.crash(name, code, oom);
                Err(RuntimeError::Exited { code: Some(code), oom, log })
            }
        }
    }

    pub(super) fn logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError> {
        let container = self.containers.get(&self.named(name)).ok_or_else(|| no_container(name))?;
        let lines: Vec<_> =
            container.lines.iter().filter(|line| query.since.is_none_or(|since| line.at >= Some(since))).collect();
        let most = query.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
        let skipped = lines.len().saturating_sub(most);
        let shown = |line: &LogLine| LogLine { at: line.at.filter(|_| query.timestamps), ..line.clone() };
        Ok(lines.into_iter().skip(skipped).map(shown).collect())
    }

    pub(super) fn owned(&self, instance: &str) -> Owned {
        let ours = |labels: &Labels| labels.get(label::INSTANCE).is_some_and(|found| found == instance);
        let item = |name: &str, id: &str, state, labels: &Labels| OwnedItem {
            name: name.to_owned(),
            id: id.to_owned(),
            state,
            labels: labels.clone(),
        };
        Owned {
            workloads: self
                .containers
                .iter()
                .map(|(name, container)| item(name, &container.id, Some(container.state), &labels_of(container)))
                .filter(|item| ours(&item.labels))
                .collect(),
            boundaries: self
                .boundaries
                .iter()
                .filter(|(_, (_, labels))| ours(labels))
                .map(|(name, (_, labels))| item(name, name, None, labels))
                .collect(),
            volumes: self
                .volumes
                .iter()
                .filter(|(_, labels)| ours(labels))
                .map(|(name, labels)| item(name, name, None, labels))
                .collect(),
        }
    }

    pub(super) fn left(&self, instance: &str) -> Vec<String> {
        let Owned { workloads, boundaries, volumes } = self.owned(instance);
        let all = [workloads, boundaries, volumes, self.owned_images(instance)];
        all.into_iter().flatten().map(|item| item.name).collect()
    }
}

/// In what a container differs from a workload: altered by hand, or made from another one.
fn deviations(container: &Container, workload: &Workload) -> Vec<Deviation> {
    let mut deviations = container.deviations.clone();
    if !is_made_from(|key| container.made.get(key), workload) {
        deviations.push(deviation(&format!("Config.Labels.{}", label::SPEC)));
    } else if limits_label(container.workload.limits) != limits_label(workload.limits) {
        deviations.push(deviation("HostConfig.Memory"));
    }
    deviations
}

fn deviation(field: &str) -> Deviation {
    Deviation { field: field.to_owned(), expected: "the workload's".to_owned(), found: "another".to_owned() }
}

fn labels_of(container: &Container) -> Labels {
    let mut labels = container.workload.labels.clone();
    labels.extend(container.made.clone());
    labels
}

fn newest(container: &Container, most: usize) -> Vec<String> {
    let skipped = container.lines.len().saturating_sub(most);
    container.lines.iter().skip(skipped).map(|line| line.text.clone()).collect()
}

pub(super) fn same_tenant(had: &Labels, wanted: &Labels) -> bool {
    Owner::of(wanted).is_some_and(|owner| owner.owns(|key| had.get(key)))
}

/// Without what differs from revision to revision, and from operation to operation: a network belongs to all of them.
fn of_the_tenant(labels: &Labels) -> Labels {
    let of_one = |key: &str| [label::OPERATION, label::REVISION].contains(&key);
    labels.iter().filter(|(key, _)| !of_one(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

pub(super) fn conflict(kind: &str, name: &str, message: &str) -> RuntimeError {
    RuntimeError::Conflict { what: format!("{kind} {name}"), message: message.to_owned() }
}

fn no_container(name: &str) -> RuntimeError {
    RuntimeError::NotFound { what: format!("container {name}") }
}
