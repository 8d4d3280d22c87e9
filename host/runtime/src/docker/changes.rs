//! What happens to containers while somebody listens.

use std::collections::HashMap;

use bollard::query_parameters::EventsOptionsBuilder;
use convergence_model::EnvId;
use convergence_model::workload::label;
use futures_util::{StreamExt, future};

use super::connect::Docker;
use crate::error::RuntimeError;
use crate::runtime::{ChangeStream, Changed};

/// What leaves a container other than it was. Health checks and commands run in it are not among these: the engine tells
/// of one for each check of each container.
const ACTIONS: [&str; 10] =
    ["create", "start", "restart", "die", "oom", "kill", "destroy", "pause", "unpause", "update"];

impl Docker {
    pub(super) async fn follow_changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError> {
        let client = self.client().await.map_err(|fault| fault.into_error(self))?;
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), vec![format!("{}={instance}", label::INSTANCE)]),
            ("event".to_owned(), ACTIONS.map(str::to_owned).to_vec()),
        ]);
        // The stream is connected when it is first asked; what happens until then is told as well. By the engine's own clock.
        let info = self.call("tell the time", |client| async move { client.info().await }).await;
        let now = info.map_err(|fault| fault.into_error(self))?.system_time;
        let mut options = EventsOptionsBuilder::new().filters(&filters);
        // An engine that does not tell the time tells of what happens from the connection on.
        if let Some(now) = now.and_then(|now| now.parse::<jiff::Timestamp>().ok()) {
            options = options.since(&format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()));
        }
        let events = client.events(Some(options.build()));
        let socket = self.socket();
        let changes = events.filter_map(move |event| {
            let change = match event {
                Ok(event) => {
                    let attributes = event.actor.and_then(|actor| actor.attributes).unwrap_or_default();
                    let tenant = attributes.get(label::TENANT).and_then(|number| number.parse().ok()).map(EnvId);
                    tenant.map(|tenant| Ok(Changed { tenant, action: event.action.unwrap_or_default() }))
                }
                Err(error) => Some(Err(RuntimeError::Unreachable {
                    socket: socket.clone(),
                    cause: error.to_string(),
                    hint: "it ended its stream of events; it may be restarting".to_owned(),
                })),
            };
            future::ready(change)
        });
        Ok(changes.boxed())
    }
}
