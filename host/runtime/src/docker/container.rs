//! Containers: their hardened body, and their life.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use convergence_model::workload::{EnvValue, OPEN_FILES, USER, Workload, label};

use super::connect::{Docker, Fault};
use super::inspect::state_of;
use super::owned::belongs_with;
use crate::error::RuntimeError;
use crate::fingerprint::{fingerprint, limits_label};
use crate::observed::State;
use crate::owner::Owner;
use crate::runtime::Removal;
use crate::single::{Containers, Found};

const MIB: i64 = 1024 * 1024;

impl Containers for Docker {
    async fn find(&self, workload: &Workload) -> Result<Option<Found>, RuntimeError> {
        Ok(self.look(&workload.name).await?.map(|found| {
            let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
            Found {
                ours: belongs_with(labels, &workload.labels),
                state: found.state.as_ref().map_or(State::Dead, state_of),
                deviations: super::verify::deviations(workload, &found),
                id: found.id.unwrap_or_default(),
            }
        }))
    }

    async fn create(&self, workload: &Workload) -> Result<bool, RuntimeError> {
        let name = &workload.name;
        let what = format!("create container {name}");
        let body = &body(workload);
        let made = self
            .call(&what, |client| async move {
                let options = CreateContainerOptionsBuilder::new().name(name).build();
                client.create_container(Some(options), body.clone()).await
            })
            .await;
        match made {
            Ok(_) => Ok(true),
            Err(Fault::Refused { status: 409, .. }) => Ok(false),
            Err(Fault::Refused { status: 404, message }) => Err(RuntimeError::NotFound { what: message }),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    async fn check(&self, workload: &Workload) -> Result<Option<Found>, RuntimeError> {
        self.find(workload).await
    }

    async fn start(&self, workload: &Workload, id: &str) -> Result<bool, RuntimeError> {
        let what = format!("start container {}", workload.name);
        match self.call(&what, |client| async move { client.start_container(id, None).await }).await {
            Ok(()) | Err(Fault::Refused { status: 304, .. }) => Ok(true),
            Err(Fault::Refused { message, .. }) if is_port_taken(&message) => Ok(false),
            Err(Fault::Refused { status: 400, message }) if message.contains("is ambiguous") => {
                Err(RuntimeError::Ambiguous { what: message })
            }
            // Docker also answers 404 where the container's network or program is missing: pass its words on.
            Err(Fault::Refused { status: 404, message }) => Err(RuntimeError::NotFound { what: message }),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    async fn halt(&self, workload: &Workload, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        self.stop_container_id(id, &workload.name, grace).await
    }

    async fn discard(&self, workload: &Workload, id: &str) -> Result<(), RuntimeError> {
        self.delete_container_id(id, &workload.name).await
    }
}

impl Docker {
    pub(super) async fn stop_container(
        &self,
        name: &str,
        owner: Owner<'_>,
        grace: Duration,
    ) -> Result<(), RuntimeError> {
        match self.holder(name, owner).await? {
            Holder::Ours(id) => self.stop_container_id(&id, name, grace).await,
            Holder::Nobody | Holder::Foreign => Ok(()),
        }
    }

    async fn stop_container_id(&self, id: &str, name: &str, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let limit = grace.saturating_add(self.config.call_limit);
        let stopped = self
            .call_within(&format!("stop container {name}"), limit, |client| async move {
                client.stop_container(id, Some(StopContainerOptionsBuilder::new().t(seconds).build())).await
            })
            .await;
        match stopped {
            Ok(()) | Err(Fault::Refused { status: 304 | 404, .. }) => Ok(()),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    /// Gives a container other limits while it runs.
    pub(super) async fn resize_container(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let name = &workload.name;
        let Some(owner) = Owner::of(&workload.labels) else { return Err(not_ours(name)) };
        let id = match self.holder(name, owner).await? {
            Holder::Ours(id) => id,
            Holder::Nobody => return Err(RuntimeError::NotFound { what: format!("container {name}") }),
            Holder::Foreign => return Err(not_ours(name)),
        };
        let (id, limits) = (&id, &limits_of(workload));
        self.call(&format!("resize container {name}"), |client| async move {
            client.update_container(id, limits.clone()).await
        })
        .await
        .map_err(|fault| fault.into_error(self))
    }

    pub(super) async fn delete_container(&self, name: &str, owner: Owner<'_>) -> Result<Removal, RuntimeError> {
        match self.holder(name, owner).await? {
            Holder::Nobody => Ok(Removal::Absent),
            Holder::Foreign => Ok(Removal::Foreign),
            Holder::Ours(id) => self.delete_container_id(&id, name).await.map(|()| Removal::Removed),
        }
    }

    /// Who has a name. What is done next is done to the id: the name may be another's by then.
    async fn holder(&self, name: &str, owner: Owner<'_>) -> Result<Holder, RuntimeError> {
        let Some(found) = self.look(name).await? else { return Ok(Holder::Nobody) };
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        Ok(match found.id {
            Some(id) if owner.owns(|key| labels?.get(key)) => Holder::Ours(id),
            _ => Holder::Foreign,
        })
    }

    async fn delete_container_id(&self, id: &str, name: &str) -> Result<(), RuntimeError> {
        let removed = self
            .call(&format!("remove container {name}"), |client| async move {
                // Anonymous volumes go with it; the named ones of a tenant stay.
                let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
                client.remove_container(id, Some(options)).await
            })
            .await;
        match removed {
            Ok(()) | Err(Fault::Refused { status: 404, .. }) => Ok(()),
            // Another call is removing it at this moment.
            Err(Fault::Refused { status: 409, message }) if message.contains("already in progress") => {
                self.wait_until_gone(id, name).await
            }
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    async fn wait_until_gone(&self, id: &str, name: &str) -> Result<(), RuntimeError> {
        let limit = self.config.call_limit;
        let gone = async {
            while self.look(id).await?.is_some() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(limit, gone).await {
            Ok(gone) => gone,
            Err(_) => Err(RuntimeError::Timeout { what: format!("remove container {name}"), after: limit }),
        }
    }
}

/// Who has a container's name.
enum Holder {
    /// It is free.
    Nobody,
    /// The same owner, with the container of this id.
    Ours(String),
    /// Somebody else.
    Foreign,
}

fn not_ours(name: &str) -> RuntimeError {
    RuntimeError::Conflict {
        what: format!("container {name}"),
        message: "a container of that name exists and is not this tenant's".to_owned(),
    }
}

/// How Docker says that a published port is taken: the first by itself, the second through its port proxy.
fn is_port_taken(message: &str) -> bool {
    message.contains("port is already allocated") || message.contains("address already in use")
}

/// What is asked of the engine, field by field: whatever is not named here stays at the engine's default.
pub(super) fn body(workload: &Workload) -> models::ContainerCreateBody {
    let mut labels: HashMap<_, _> = workload.labels.clone().into_iter().collect();
    labels.insert(label::SPEC.to_owned(), fingerprint(workload));
    labels.insert(label::LIMITS.to_owned(), limits_label(workload.limits));
    labels.insert(label::PORT.to_owned(), workload.container_port.to_string());
    let network = workload.boundary.name.clone();
    models::ContainerCreateBody {
        hostname: Some(workload.name.clone()),
        user: Some(user()),
        attach_stdin: Some(false),
        attach_stdout: Some(false),
        attach_stderr: Some(false),
        tty: Some(false),
        open_stdin: Some(false),
        exposed_ports: Some(vec![inner_port(workload)]),
        env: Some(env(workload)),
        // Empty and not absent: absent would leave the image's own in place.
        entrypoint: Some(Vec::new()),
        cmd: Some(workload.command.clone()),
        healthcheck: Some(health_check(workload)),
        image: Some(workload.image.clone()),
        labels: Some(labels),
        stop_signal: Some(workload.stop_signal.clone()),
        stop_timeout: Some(i64::from(workload.stop_grace_seconds)),
        host_config: Some(host_config(workload)),
        networking_config: Some(models::NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, models::EndpointSettings::default())])),
        }),
        ..Default::default()
    }
}

fn host_config(workload: &Workload) -> models::HostConfig {
    let limits = limits_of(workload);
    models::HostConfig {
        // What it may do: nothing that needs a capability, and nothing it did not have at its start.
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        readonly_rootfs: Some(true),
        ipc_mode: Some("private".to_owned()),
        // How much it may use.
        memory: limits.memory,
        memory_swap: limits.memory_swap,
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        memory_reservation: limits.memory_reservation,
        pids_limit: limits.pids_limit,
        oom_kill_disable: Some(false),
        ulimits: Some(vec![ulimit("nofile", i64::from(OPEN_FILES)), ulimit("core", 0)]),
        // Where it may write.
        tmpfs: Some(workload.tmpfs.iter().map(|tmpfs| (tmpfs.path.clone(), tmpfs.options())).collect()),
        mounts: Some(
            workload
                .volumes
                .iter()
                .map(|mount| models::Mount {
                    target: Some(mount.path.clone()),
                    source: Some(mount.volume.clone()),
                    typ: Some(models::MountType::VOLUME),
                    read_only: Some(false),
                    ..Default::default()
                })
                .collect(),
        ),
        log_config: Some(models::HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), format!("{}m", workload.log_rotation.max_size_mb)),
                ("max-file".to_owned(), workload.log_rotation.max_files.to_string()),
            ])),
        }),
        // Whom it may talk to.
        network_mode: Some(workload.boundary.name.clone()),
        port_bindings: workload.published.map(|published| {
            let binding = models::PortBinding {
                host_ip: Some(published.address.to_string()),
                host_port: Some(published.port.to_string()),
            };
            HashMap::from([(inner_port(workload), Some(vec![binding]))])
        }),
        publish_all_ports: Some(false),
        extra_hosts: Some(extra_hosts(workload)),
        // How it lives. An init reaps zombies and passes signals on: without one, stopping takes the whole grace.
        init: Some(true),
        auto_remove: Some(false),
        restart_policy: Some(models::RestartPolicy {
            name: Some(models::RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        ..Default::default()
    }
}

/// What may be changed while a container runs.
fn limits_of(workload: &Workload) -> models::ContainerUpdateBody {
    let limits = &workload.limits;
    let memory = Some(i64::from(limits.memory_mb) * MIB);
    models::ContainerUpdateBody {
        memory,
        // Equal to memory means no swap.
        memory_swap: memory,
        nano_cpus: Some(i64::from(limits.cpu_millis) * 1_000_000),
        // On a busy machine, its part in proportion.
        cpu_shares: Some(i64::from(limits.cpu_shares())),
        memory_reservation: Some(i64::from(limits.memory_reservation_mb()) * MIB),
        pids_limit: Some(i64::from(limits.pids)),
        ..Default::default()
    }
}

pub(super) fn user() -> String {
    format!("{USER}:{USER}")
}

pub(super) fn inner_port(workload: &Workload) -> String {
    format!("{}/tcp", workload.container_port)
}

pub(super) fn env(workload: &Workload) -> Vec<String> {
    workload
        .env
        .iter()
        .map(|(name, value)| match value {
            EnvValue::Literal(text) => format!("{name}={text}"),
            EnvValue::Secret(secret) => format!("{name}={}", secret.expose()),
        })
        .collect()
}

pub(super) fn extra_hosts(workload: &Workload) -> Vec<String> {
    workload.host_aliases.iter().map(|alias| format!("{alias}:host-gateway")).collect()
}

fn ulimit(name: &str, most: i64) -> models::ResourcesUlimits {
    models::ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}

fn health_check(workload: &Workload) -> models::HealthConfig {
    let health = &workload.health;
    let Some(command) = &health.in_container else {
        // The image's own check is not ours to trust.
        return models::HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() };
    };
    let nanos = |seconds: u32| Some(i64::from(seconds) * 1_000_000_000);
    models::HealthConfig {
        test: Some(std::iter::once("CMD".to_owned()).chain(command.iter().cloned()).collect()),
        interval: nanos(health.interval_seconds),
        timeout: nanos(health.timeout_seconds),
        retries: Some(i64::from(health.retries)),
        start_period: nanos(health.start_period_seconds),
        start_interval: None,
    }
}
