//! What the engine knows of a container, in our words.

use std::net::IpAddr;

use bollard::models;
use bollard::query_parameters::InspectContainerOptions;
use jiff::Timestamp;

use super::connect::{Docker, Fault};
use super::owned::sorted;
use crate::error::RuntimeError;
use crate::runtime::{HealthStatus, Observed, State};

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

    pub(super) async fn observe(&self, name: &str) -> Result<Option<Observed>, RuntimeError> {
        Ok(self.look(name).await?.map(observed))
    }
}

pub(super) fn observed(found: models::ContainerInspectResponse) -> Observed {
    let state = found.state.unwrap_or_default();
    let own = found.host_config.and_then(|host| host.network_mode);
    Observed {
        id: found.id.unwrap_or_default(),
        image_id: found.image.unwrap_or_default(),
        started_at: moment(state.started_at.as_deref()),
        finished_at: moment(state.finished_at.as_deref()),
        health: state.health.as_ref().and_then(|health| health.status).and_then(health_status),
        address: found.network_settings.and_then(|settings| address(settings, own.as_deref())),
        restart_count: found.restart_count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default(),
        oom_killed: state.oom_killed == Some(true),
        labels: sorted(found.config.and_then(|config| config.labels)),
        state: state_of(&state),
    }
}

fn state_of(state: &models::ContainerState) -> State {
    use models::ContainerStateStatusEnum as Status;
    let code = state.exit_code.unwrap_or_default();
    let oom = state.oom_killed == Some(true);
    match state.status {
        Some(Status::CREATED) => State::Created,
        Some(Status::RUNNING) => State::Running,
        Some(Status::PAUSED) => State::Paused,
        Some(Status::RESTARTING) => State::Restarting { code, oom },
        Some(Status::REMOVING) => State::Removing,
        Some(Status::EXITED) => State::Exited { code, oom },
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
fn address(settings: models::NetworkSettings, own: Option<&str>) -> Option<IpAddr> {
    let endpoint = settings.networks?.remove(own?)?;
    [endpoint.ip_address, endpoint.global_ipv6_address].into_iter().flatten().find_map(|text| text.parse().ok())
}

/// The engine writes the year 1 for "never".
fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse::<Timestamp>().ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}
