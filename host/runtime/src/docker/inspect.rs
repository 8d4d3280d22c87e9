//! What the engine knows of a container, in our words.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bollard::models;
use bollard::query_parameters::InspectContainerOptions;
use convergence_model::workload::label;
use jiff::Timestamp;

use super::connect::{Docker, Fault};
use super::owned::sorted;
use crate::error::RuntimeError;
use crate::observed::{End, Endpoint, HealthStatus, Instance, Observed, Reach, Rollout, State};
use crate::runtime::LOCAL_NODE;

impl Docker {
    pub(super) async fn look(&self, name: &str) -> Result<Option<models::ContainerInspectResponse>, RuntimeError> {
        let what = format!("inspect container {name}");
        match self
            .call(&what, |client| async move { client.inspect_container(name, None::<InspectContainerOptions>).await })
            .await
        {
            Ok(found) => Ok(Some(found)),
            Err(Fault::Refused { status: 404, .. }) => Ok(None),
            Err(fault) => Err(fault.into_error(self)),
        }
    }

    pub(super) async fn observe_container(&self, name: &str) -> Result<Option<Observed>, RuntimeError> {
        Ok(self.look(name).await?.map(observed))
    }
}

pub(super) fn observed(found: models::ContainerInspectResponse) -> Observed {
    let id = found.id.unwrap_or_default();
    let raw = found.state.unwrap_or_default();
    let state = state_of(&raw);
    let host = found.host_config.unwrap_or_default();
    let labels = sorted(found.config.and_then(|config| config.labels));
    let bindings = host.port_bindings.unwrap_or_default();
    let settings = found.network_settings.unwrap_or_default();
    let published = settings.ports.unwrap_or_default();
    let address = address(settings.networks, host.network_mode.as_deref());
    // Containers of older servers have no such label, and are all published.
    let inside = labels.get(label::PORT).and_then(|port| port.parse().ok());
    let inside = inside.or_else(|| bindings.keys().next()?.split('/').next()?.parse().ok());
    let running = state == State::Running;
    let own = address.zip(inside).filter(|_| running).map(|(address, port)| Endpoint {
        reach: Reach::Instance,
        instance: Some(id.clone()),
        address: SocketAddr::new(address, port),
    });
    let on_host = published.into_values().flatten().flatten().filter(|_| running).filter_map(|binding| {
        let address = SocketAddr::new(binding.host_ip?.parse().ok()?, binding.host_port?.parse().ok()?);
        Some(Endpoint { reach: Reach::Published, instance: Some(id.clone()), address })
    });
    let endpoints = own.into_iter().chain(on_host).collect();
    let restarts = found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    Observed {
        name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels,
        endpoints,
        // One engine has nothing to roll out: what was made is what there is.
        rollout: match state {
            State::Dead => Rollout::Failed { why: "the engine failed to remove it".to_owned() },
            _ => Rollout::Complete,
        },
        instances: vec![Instance {
            id,
            node: LOCAL_NODE.to_owned(),
            state,
            address,
            restarts,
            image_digest: found.image.unwrap_or_default(),
            health: raw.health.as_ref().and_then(|health| health.status).and_then(health_status),
            started_at: moment(raw.started_at.as_deref()),
            last_end: last_end(&raw, state),
        }],
    }
}

/// How it ended last. Docker keeps the exit code of a container that does not run.
fn last_end(raw: &models::ContainerState, state: State) -> Option<End> {
    let at = moment(raw.finished_at.as_deref());
    let over = matches!(state, State::Exited | State::Restarting);
    let code = raw.exit_code.filter(|_| over);
    (over || at.is_some()).then_some(End { code, oom: raw.oom_killed == Some(true), at })
}

pub(super) fn state_of(state: &models::ContainerState) -> State {
    use models::ContainerStateStatusEnum as Status;
    match state.status {
        Some(Status::CREATED) => State::Created,
        Some(Status::RUNNING) => State::Running,
        Some(Status::PAUSED) => State::Paused,
        Some(Status::RESTARTING) => State::Restarting,
        Some(Status::REMOVING) => State::Removing,
        Some(Status::EXITED) => State::Exited,
        Some(_) | None => State::Dead,
    }
}

fn health_status(status: models::HealthStatusEnum) -> Option<HealthStatus> {
    use models::HealthStatusEnum as Status;
    match status {
        Status::STARTING => Some(HealthStatus::Starting),
        Status::HEALTHY => Some(HealthStatus::Healthy),
        Status::UNHEALTHY => Some(HealthStatus::Unhealthy),
        Status::EMPTY | Status::NONE => None,
    }
}

/// The address in the container's own network; others may have been attached by hand.
fn address(networks: Option<HashMap<String, models::EndpointSettings>>, own: Option<&str>) -> Option<IpAddr> {
    let endpoint = networks?.remove(own?)?;
    [endpoint.ip_address, endpoint.global_ipv6_address].into_iter().flatten().find_map(|text| text.parse().ok())
}

/// The engine writes the year 1 for "never".
fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse::<Timestamp>().ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}
