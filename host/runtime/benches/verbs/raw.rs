//! The baseline: each verb as one call of the engine, and the wait until the app answers where ours waits.

use std::time::{Duration, Instant};

use bollard::models;
use bollard::query_parameters::InspectContainerOptions;

use crate::Verb;
use crate::sides::bare::{Bare, NAME, Recipe};

/// What tells whether a container went on running.
pub(crate) struct Seen {
    pub(crate) id: Option<String>,
    pub(crate) started_at: Option<String>,
    pub(crate) nano_cpus: Option<i64>,
}

impl Bare {
    /// Does a verb to the container of [`Bare::spawn`], and answers how long it took. An app has the same time to end as ours:
    /// what its container was made with.
    pub(crate) async fn does(&self, recipe: &Recipe, verb: Verb) -> Duration {
        let began = Instant::now();
        match verb {
            Verb::Stop => self.docker.stop_container(NAME, None).await.unwrap(),
            Verb::Start => self.docker.start_container(NAME, None).await.unwrap(),
            Verb::Restart => self.docker.restart_container(NAME, None).await.unwrap(),
            Verb::Scale(cpu_millis) => {
                self.docker.update_container(NAME, limits(recipe, cpu_millis)).await.unwrap();
            }
        }
        if verb != Verb::Stop {
            self.ready(recipe).await;
        }
        began.elapsed()
    }

    /// What the engine tells of a container.
    pub(crate) async fn seen(&self, container: &str) -> Seen {
        let found = self.docker.inspect_container(container, None::<InspectContainerOptions>).await.unwrap();
        Seen {
            id: found.id,
            started_at: found.state.and_then(|state| state.started_at),
            nano_cpus: found.host_config.and_then(|host| host.nano_cpus),
        }
    }
}

/// Every limit that ours sets when it scales, with another share of the processors.
fn limits(recipe: &Recipe, cpu_millis: u32) -> models::ContainerUpdateBody {
    let host = recipe.container.host_config.as_ref().unwrap();
    models::ContainerUpdateBody {
        memory: host.memory,
        memory_swap: host.memory_swap,
        nano_cpus: Some(i64::from(cpu_millis) * 1_000_000),
        cpu_shares: Some(i64::from(cpu_millis) * 1024 / 1000),
        memory_reservation: host.memory_reservation,
        pids_limit: host.pids_limit,
        ..Default::default()
    }
}
