//! What is in the fake engine, and how it changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use convergence_model::EnvId;
use convergence_model::build::{BaseImage, ImageBuild};
use convergence_model::workload::{Network, Workload, label};
use jiff::{SignedDuration, Timestamp};

use super::{Call, Fault, Readiness};
use crate::error::RuntimeError;
use crate::fingerprint::fingerprint;
use crate::owner::Owner;
use crate::runtime::{
    Deviation, Ensured, ImageRemoval, LogLine, LogQuery, LogSource, Observed, Owned, OwnedItem, Ready, Removal, State,
};

type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) journal: Vec<Call>,
    pub(super) faults: HashMap<&'static str, VecDeque<Fault>>,
    /// By the length of the journal with the call in it.
    pub(super) faults_at: HashMap<usize, Fault>,
    pub(super) down: Option<RuntimeError>,
    pub(super) latency: Duration,
    pub(super) readiness: Readiness,
    pub(super) taken_ports: BTreeSet<u16>,
    pub(super) images: BTreeMap<String, Image>,
    pub(super) containers: BTreeMap<String, Container>,
    networks: BTreeMap<String, (Network, Labels)>,
    volumes: BTreeMap<String, Labels>,
    /// Counts everything that gets an id or a time: the fake has a clock and randomness of its own.
    ticks: u32,
}

#[derive(Debug)]
pub(super) struct Image {
    pub(super) id: String,
    labels: Labels,
    pub(super) build: Option<ImageBuild>,
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) workload: Workload,
    id: String,
    spec: String,
    state: State,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    lines: Vec<LogLine>,
    deviations: Vec<Deviation>,
}

impl World {
    /// How the call that was just noted is to go wrong.
    pub(super) fn fault(&mut self, method: &str) -> Option<Fault> {
        let at = self.journal.len();
        self.faults_at.remove(&at).or_else(|| self.faults.get_mut(method)?.pop_front())
    }

    pub(super) fn tenant_of(&self, name: &str) -> Option<EnvId> {
        Owner::of(&self.containers.get(name)?.workload.labels).map(|owner| owner.tenant)
    }

    fn tick(&mut self) -> (String, Timestamp) {
        self.ticks = self.ticks.saturating_add(1);
        let at = Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_secs(i64::from(self.ticks)));
        (format!("{:064x}", self.ticks), at.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(super) fn pull(&mut self, reference: &str) {
        let id = format!("sha256:{}", self.tick().0);
        self.images.entry(reference.to_owned()).or_insert(Image { id, labels: Labels::new(), build: None });
    }

    pub(super) fn base(&mut self, reference: &str) -> (BaseImage, bool) {
        let pulled = !self.images.contains_key(reference);
        self.pull(reference);
        let id = self.images.get(reference).map(|image| image.id.clone()).unwrap_or_default();
        let base = BaseImage {
            reference: reference.to_owned(),
            pinned: reference.to_owned(),
            id,
            on_build: false,
            volumes: Vec::new(),
        };
        (base, pulled)
    }

    pub(super) fn build(&mut self, build: &ImageBuild) -> String {
        if let Some(image) = self.images.get(&build.tag) {
            return image.id.clone();
        }
        let id = format!("sha256:{}", self.tick().0);
        let image = Image { id: id.clone(), labels: build.labels.clone(), build: Some(build.clone()) };
        self.images.insert(build.tag.clone(), image);
        id
    }

    pub(super) fn remove_image(&mut self, reference: &str, instance: &str) -> ImageRemoval {
        let Some(image) = self.images.get(reference) else { return ImageRemoval::Absent };
        if image.labels.get(label::INSTANCE).is_none_or(|built_by| built_by != instance) {
            return ImageRemoval::Foreign;
        }
        if self.containers.values().any(|container| container.workload.image == reference) {
            return ImageRemoval::InUse;
        }
        self.images.remove(reference);
        ImageRemoval::Removed
    }

    pub(super) fn ensure_network(&mut self, network: &Network, labels: &Labels) -> Result<Ensured, RuntimeError> {
        let mut ensured = Ensured::Created;
        if let Some((existing, had)) = self.networks.get(&network.name) {
            if !same_tenant(had, labels) {
                return Err(conflict("network", &network.name, "it is not this tenant's"));
            }
            if existing == network && without_operation(had) == without_operation(labels) {
                return Ok(Ensured::Adopted);
            }
            self.drop_network(&network.name)?;
            ensured = Ensured::Replaced;
        }
        if self.networks.values().any(|(other, _)| other.subnet == network.subnet) {
            return Err(RuntimeError::SubnetTaken { subnet: network.subnet.to_string() });
        }
        self.networks.insert(network.name.clone(), (network.clone(), labels.clone()));
        Ok(ensured)
    }

    pub(super) fn remove_network(&mut self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        match self.networks.get(name) {
            None => Ok(Removal::Absent),
            Some((_, labels)) if !owner.owns(|key| labels.get(key)) => Ok(Removal::Foreign),
            Some(_) => self.drop_network(name).map(|()| Removal::Removed),
        }
    }

    fn drop_network(&mut self, name: &str) -> Result<(), RuntimeError> {
        let attached = self
            .containers
            .values()
            .any(|container| container.workload.network.name == name && container.state == State::Running);
        if attached {
            return Err(conflict("network", name, "it has active endpoints"));
        }
        self.networks.remove(name);
        Ok(())
    }

    pub(super) fn ensure_volume(&mut self, name: &str, labels: &Labels) -> Result<Ensured, RuntimeError> {
        match self.volumes.get(name) {
            Some(had) if same_tenant(had, labels) => Ok(Ensured::Adopted),
            Some(_) => Err(conflict("volume", name, "it is not this tenant's")),
            None => {
                self.volumes.insert(name.to_owned(), labels.clone());
                Ok(Ensured::Created)
            }
        }
    }

    pub(super) fn remove_volume(&mut self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        let Some(labels) = self.volumes.get(name) else { return Ok(Removal::Absent) };
        if !owner.owns(|key| labels.get(key)) {
            return Ok(Removal::Foreign);
        }
        let mounted = |container: &Container| container.workload.volumes.iter().any(|mount| mount.volume == name);
        if self.containers.values().any(mounted) {
            return Err(conflict("volume", name, "it is in use"));
        }
        self.volumes.remove(name);
        Ok(Removal::Removed)
    }

    pub(super) fn ensure_container(&mut self, workload: &Workload) -> Result<Ensured, RuntimeError> {
        let spec = fingerprint(workload);
        let mut ensured = Ensured::Created;
        if let Some(existing) = self.containers.get(&workload.name) {
            if !same_tenant(&existing.workload.labels, &workload.labels) {
                return Err(conflict("container", &workload.name, "it is not this tenant's"));
            }
            if existing.spec == spec && existing.deviations.is_empty() {
                return Ok(Ensured::Adopted);
            }
            self.containers.remove(&workload.name);
            ensured = Ensured::Replaced;
        }
        if !self.images.contains_key(&workload.image) {
            return Err(RuntimeError::NotFound { what: format!("image {}", workload.image) });
        }
        let container = Container {
            workload: workload.clone(),
            id: self.tick().0,
            spec,
            state: State::Created,
            started_at: None,
            finished_at: None,
            lines: Vec::new(),
            deviations: Vec::new(),
        };
        self.containers.insert(workload.name.clone(), container);
        Ok(ensured)
    }

    pub(super) fn start(&mut self, name: &str) -> Result<(), RuntimeError> {
        let (_, now) = self.tick();
        let Some(container) = self.containers.get(name) else { return Err(no_container(name)) };
        if container.state == State::Running {
            return Ok(());
        }
        if !self.networks.contains_key(&container.workload.network.name) {
            return Err(RuntimeError::NotFound { what: format!("network {}", container.workload.network.name) });
        }
        let port = container.workload.published.port;
        let published = |other: &Container| other.state == State::Running && other.workload.published.port == port;
        if self.taken_ports.contains(&port) || self.containers.values().any(published) {
            return Err(RuntimeError::PortTaken { port });
        }
        if let Some(container) = self.containers.get_mut(name) {
            // A volume that nobody made is made by the engine, as Docker does.
            for mount in &container.workload.volumes {
                self.volumes.entry(mount.volume.clone()).or_default();
            }
            container.state = State::Running;
            container.started_at = Some(now);
        }
        Ok(())
    }

    pub(super) fn stop(&mut self, name: &str, owner: Owner<'_>) {
        if self.running(name).is_ok_and(|container| owner.owns(|key| container.workload.labels.get(key))) {
            self.crash(name, 143, false);
        }
    }

    pub(super) fn remove_container(&mut self, name: &str, owner: Owner<'_>) -> Removal {
        let Some(container) = self.containers.get(name) else { return Removal::Absent };
        if !owner.owns(|key| container.workload.labels.get(key)) {
            return Removal::Foreign;
        }
        self.containers.remove(name);
        Removal::Removed
    }

    pub(super) fn crash(&mut self, name: &str, code: i64, oom: bool) {
        let (_, now) = self.tick();
        if let Some(container) = self.containers.get_mut(name) {
            container.state = State::Exited { code, oom };
            container.finished_at = Some(now);
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
            let (expected, found) = ("the workload's".to_owned(), "another".to_owned());
            container.deviations.push(Deviation { field: field.to_owned(), expected, found });
        }
    }

    pub(super) fn running(&self, name: &str) -> Result<&Container, RuntimeError> {
        match self.containers.get(name) {
            Some(container) if container.state == State::Running => Ok(container),
            Some(_) => Err(conflict("container", name, "it does not run")),
            None => Err(no_container(name)),
        }
    }

    pub(super) fn observe(&self, name: &str) -> Option<Observed> {
        let container = self.containers.get(name)?;
        let image = self.images.get(&container.workload.image);
        let running = container.state == State::Running;
        Some(Observed {
            id: container.id.clone(),
            image_id: image.map(|image| image.id.clone()).unwrap_or_default(),
            state: container.state,
            started_at: container.started_at,
            finished_at: container.finished_at,
            health: None,
            address: running.then(|| second_address(&container.workload.network)).flatten(),
            restart_count: 0,
            oom_killed: matches!(container.state, State::Exited { oom: true, .. }),
            labels: labels_of(container),
        })
    }

    pub(super) fn verify(&self, workload: &Workload) -> Result<Vec<Deviation>, RuntimeError> {
        let container = self.containers.get(&workload.name).ok_or_else(|| no_container(&workload.name))?;
        let mut deviations = container.deviations.clone();
        let expected = fingerprint(workload);
        if container.spec != expected {
            let field = format!("Config.Labels.{}", label::SPEC);
            deviations.push(Deviation { field, expected, found: container.spec.clone() });
        }
        Ok(deviations)
    }

    pub(super) fn wait_ready(&mut self, name: &str, patience: Duration) -> Result<Ready, RuntimeError> {
        let readiness = self.readiness.clone();
        let container = self.containers.get(name).ok_or_else(|| no_container(name))?;
        let log = newest(container, 20);
        if let State::Exited { code, oom } = container.state {
            return Err(RuntimeError::Exited { code: Some(code), oom, log });
        }
        if container.state != State::Running {
            let last = "the container is created".to_owned();
            return Err(RuntimeError::NotReady { after: patience, last, log });
        }
        match readiness {
            Readiness::Ready => Ok(Ready { after: Duration::ZERO, attempts: 1 }),
            Readiness::Never => {
                let last = "GET /health answered 503".to_owned();
                Err(RuntimeError::NotReady { after: patience, last, log })
            }
            Readiness::Exits { code, oom } => {
                self.crash(name, code, oom);
                Err(RuntimeError::Exited { code: Some(code), oom, log })
            }
        }
    }

    pub(super) fn logs(&self, name: &str, query: &LogQuery) -> Result<Vec<LogLine>, RuntimeError> {
        let container = self.containers.get(name).ok_or_else(|| no_container(name))?;
        let lines: Vec<_> =
            container.lines.iter().filter(|line| query.since.is_none_or(|since| line.at >= Some(since))).collect();
        let most = query.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
        let skipped = lines.len().saturating_sub(most);
        let shown = |line: &LogLine| LogLine { at: line.at.filter(|_| query.timestamps), ..line.clone() };
        Ok(lines.into_iter().skip(skipped).map(shown).collect())
    }

    pub(super) fn owned(&self, instance: &str) -> Owned {
        let ours = |labels: &Labels| labels.get(label::INSTANCE).is_some_and(|found| found == instance);
        let item =
            |name: &str, id: &str, labels: Labels| OwnedItem { name: name.to_owned(), id: id.to_owned(), labels };
        Owned {
            containers: self
                .containers
                .iter()
                .map(|(name, container)| item(name, &container.id, labels_of(container)))
                .filter(|item| ours(&item.labels))
                .collect(),
            networks: self
                .networks
                .iter()
                .filter(|(_, (_, labels))| ours(labels))
                .map(|(name, (_, labels))| item(name, name, labels.clone()))
                .collect(),
            volumes: self
                .volumes
                .iter()
                .filter(|(_, labels)| ours(labels))
                .map(|(name, labels)| item(name, name, labels.clone()))
                .collect(),
            images: self
                .images
                .iter()
                .filter(|(_, image)| ours(&image.labels))
                .map(|(name, image)| item(name, &image.id, image.labels.clone()))
                .collect(),
        }
    }
}

fn labels_of(container: &Container) -> Labels {
    let mut labels = container.workload.labels.clone();
    labels.insert(label::SPEC.to_owned(), container.spec.clone());
    labels
}

fn newest(container: &Container, most: usize) -> Vec<String> {
    let skipped = container.lines.len().saturating_sub(most);
    container.lines.iter().skip(skipped).map(|line| line.text.clone()).collect()
}

fn same_tenant(had: &Labels, wanted: &Labels) -> bool {
    Owner::of(wanted).is_some_and(|owner| owner.owns(|key| had.get(key)))
}

fn without_operation(labels: &Labels) -> Labels {
    labels.iter().filter(|(key, _)| key.as_str() != label::OPERATION).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The first address of a subnet is its own, the next one the gateway's.
fn second_address(network: &Network) -> Option<IpAddr> {
    let text = network.subnet.to_string();
    let base: Ipv4Addr = text.split('/').next()?.parse().ok()?;
    Some(IpAddr::V4(Ipv4Addr::from(u32::from(base).saturating_add(2))))
}

fn conflict(kind: &str, name: &str, message: &str) -> RuntimeError {
    RuntimeError::Conflict { what: format!("{kind} {name}"), message: message.to_owned() }
}

fn no_container(name: &str) -> RuntimeError {
    RuntimeError::NotFound { what: format!("container {name}") }
}
