//! What happens to containers and networks while somebody listens.
//!
//! Docker tells of a container with its labels, so it filters those of one installation. Of a network it tells the name and
//! the id only: whose it is is known from a list of our networks, or from the container that was connected or disconnected.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptionsBuilder, InspectContainerOptions, InspectNetworkOptions};
use convergence_model::workload::label;
use futures_util::{Stream, StreamExt, future, stream};

use super::connect::Docker;
use super::owned::sorted;
use crate::error::RuntimeError;
use crate::observed::{Change, Changeable, Changed, HealthStatus};
use crate::owner::Owner;
use crate::runtime::ChangeStream;

/// What leaves a container other than it was, and what its health check says anew. Commands run in it, which its health
/// checks are, are not among these: the engine tells of each.
const OF_CONTAINERS: [&str; 12] = [
    "create",
    "start",
    "restart",
    "die",
    "oom",
    "kill",
    "destroy",
    "pause",
    "unpause",
    "update",
    "rename",
    "health_status",
];
/// What leaves a network other than it was.
const OF_NETWORKS: [&str; 4] = ["create", "connect", "disconnect", "destroy"];
/// What the keys of our labels begin with.
const OURS: &str = "convergence.";

type Labels = BTreeMap<String, String>;

impl Docker {
    pub(super) async fn follow_changes(&self, instance: &str) -> Result<ChangeStream, RuntimeError> {
        let client = self.client().await.map_err(|fault| fault.into_error(self))?;
        // The streams are connected when they are first asked; what happens until then is told as well. By the engine's own
        // clock.
        let info = self.call("tell the time", |client| async move { client.info().await }).await;
        let now = info.map_err(|fault| fault.into_error(self))?.system_time;
        let now = now.and_then(|now| now.parse::<jiff::Timestamp>().ok());
        let ours = format!("{}={instance}", label::INSTANCE);
        let known = self.networks("label", &ours).await?;
        let known = known.into_iter().filter_map(|network| Some((network.id?, sorted(network.labels)))).collect();

        let label = ("label".to_owned(), vec![ours]);
        let containers = events(&client, "container", &OF_CONTAINERS, Some(label), now);
        let networks = events(&client, "network", &OF_NETWORKS, None, now);
        // Whichever ends first ends both: half of what happens is not what was asked for.
        let both = stream::select(ending(containers), ending(networks));
        let both = both.take_while(|event| future::ready(event.is_some())).filter_map(future::ready);
        let follower = Follower { client, instance: instance.to_owned(), known, limit: self.config.call_limit };
        let socket = self.socket();
        let changes = stream::unfold((Box::pin(both), follower), move |(mut both, mut follower)| {
            let socket = socket.clone();
            async move {
                loop {
                    let change = match both.next().await? {
                        Ok(event) => Ok(follower.read(event).await),
                        Err(error) => Err(RuntimeError::Unreachable {
                            socket: socket.clone(),
                            cause: error.to_string(),
                            hint: "it ended its stream of events; it may be restarting".to_owned(),
                        }),
                    };
                    if let Some(change) = change.transpose() {
                        return Some((change, (both, follower)));
                    }
                }
            }
        });
        Ok(changes.boxed())
    }
}

fn events(
    client: &bollard::Docker,
    kind: &str,
    actions: &[&str],
    label: Option<(String, Vec<String>)>,
    since: Option<jiff::Timestamp>,
) -> impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + use<> {
    let actions = actions.iter().map(|action| (*action).to_owned()).collect();
    let own = [("type".to_owned(), vec![kind.to_owned()]), ("event".to_owned(), actions)];
    let filters: HashMap<_, _> = own.into_iter().chain(label).collect();
    let mut options = EventsOptionsBuilder::new().filters(&filters);
    // An engine that does not tell the time tells of what happens from the connection on.
    if let Some(since) = since {
        options = options.since(&format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    }
    client.events(Some(options.build()))
}

/// The items of a stream, and then its end.
fn ending<T>(stream: impl Stream<Item = T>) -> impl Stream<Item = Option<T>> {
    stream.map(Some).chain(stream::once(future::ready(None)))
}

/// Reads what the engine tells.
struct Follower {
    client: bollard::Docker,
    instance: String,
    /// The labels of every network of ours, by id.
    known: HashMap<String, Labels>,
    limit: Duration,
}

impl Follower {
    /// What happened; nothing where it is not ours.
    async fn read(&mut self, event: EventMessage) -> Option<Changed> {
        let actor = event.actor?;
        let (id, attributes) = (actor.id?, actor.attributes.unwrap_or_default());
        let action = event.action?;
        let name = attributes.get("name").cloned().unwrap_or_default();
        if event.typ == Some(EventMessageTypeEnum::NETWORK) {
            let (labels, change) = self.of_network(&id, &action, attributes.get("container")).await?;
            return self.changed(Changeable::Boundary, id, name, labels, change);
        }
        let change = of_container(&action, &attributes)?;
        self.changed(Changeable::Workload, id, name, attributes.into_iter().collect(), change)
    }

    fn changed(
        &self,
        what: Changeable,
        id: String,
        name: String,
        mut labels: Labels,
        change: Change,
    ) -> Option<Changed> {
        labels.retain(|key, _| key.starts_with(OURS));
        let owner = Owner::of(&labels).filter(|owner| owner.instance == self.instance)?;
        Some(Changed { tenant: owner.tenant, what, name, id, labels, change })
    }

    /// Whose labels there are, and what happened.
    async fn of_network(&mut self, id: &str, action: &str, container: Option<&String>) -> Option<(Labels, Change)> {
        let change = match action {
            "create" => {
                let labels = self.network(id).await?;
                // Only ours, so that what is kept is bounded by what we made.
                if labels.get(label::INSTANCE) != Some(&self.instance) {
                    return None;
                }
                self.known.insert(id.to_owned(), labels.clone());
                return Some((labels, Change::Created));
            }
            "destroy" => return self.known.remove(id).map(|labels| (labels, Change::Removed)),
            "connect" => Change::Connected,
            "disconnect" => Change::Disconnected,
            _ => return None,
        };
        let labels = match self.known.get(id) {
            Some(labels) => labels.clone(),
            // Somebody else's network, and perhaps our container.
            None => self.container(container?).await?,
        };
        Some((labels, change))
    }

    /// A network's labels; nothing where it is gone already.
    async fn network(&self, id: &str) -> Option<Labels> {
        let asked = self.client.inspect_network(id, None::<InspectNetworkOptions>);
        let found = tokio::time::timeout(self.limit, asked).await.ok()?.ok()?;
        Some(sorted(found.labels))
    }

    /// A container's labels; nothing where it is gone already.
    async fn container(&self, id: &str) -> Option<Labels> {
        let asked = self.client.inspect_container(id, None::<InspectContainerOptions>);
        let found = tokio::time::timeout(self.limit, asked).await.ok()?.ok()?;
        Some(sorted(found.config?.labels))
    }
}

fn of_container(action: &str, attributes: &HashMap<String, String>) -> Option<Change> {
    // `health_status: healthy`
    let (action, detail) = action.split_once(':').map_or((action, ""), |(action, detail)| (action, detail.trim()));
    Some(match action {
        "create" => Change::Created,
        "start" | "restart" => Change::Started,
        "die" => Change::Ended { code: attributes.get("exitCode").and_then(|code| code.parse().ok()) },
        "oom" => Change::OutOfMemory,
        "destroy" => Change::Removed,
        "kill" | "pause" | "unpause" | "update" => Change::Altered,
        "rename" => {
            let from = attributes.get("oldName").map(|name| name.trim_start_matches('/').to_owned());
            Change::Renamed { from: from.unwrap_or_default() }
        }
        "health_status" => Change::Health(match detail {
            "healthy" => HealthStatus::Healthy,
            "unhealthy" => HealthStatus::Unhealthy,
            _ => HealthStatus::Starting,
        }),
        _ => return None,
    })
}
