//! The baseline: network, container, start and probe through the raw Docker API, and nothing around it.
//!
//! Network and container are copied, field by field as the engine reports them, from those of a tenant of ours: the
//! same image, command, variables, limits and hardening, whatever these become. Only name, port, subnet and the values of labels
//! differ.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Phases;
use super::server::PREFIX;

/// The name of its network and of its container.
pub(crate) const NAME: &str = "convergence-bench-raw";
/// Beside the ports and the subnets of the server.
const PORT: u16 = 23_390;
const SUBNET: &str = "10.202.201.0/28";
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the engine directly.
#[derive(Clone)]
pub(crate) struct Bare {
    pub(crate) docker: Docker,
}

/// What is asked for at each turn.
pub(crate) struct Recipe {
    network: models::NetworkCreateRequest,
    pub(crate) container: models::ContainerCreateBody,
    /// Where the app listens inside.
    port: u16,
}

impl Bare {
    pub(crate) async fn connect() -> Self {
        let docker = Docker::connect_with_defaults().expect("the engine's address is one");
        Self { docker: docker.negotiate_version().await.expect("the engine answers; `cargo xtask engine` starts one") }
    }

    /// Copies what a container of ours was made from.
    pub(crate) async fn recipe(&self, container: &str) -> Recipe {
        let found = self.docker.inspect_container(container, None::<InspectContainerOptions>).await.unwrap();
        let mut host = found.host_config.unwrap();
        let name = host.network_mode.replace(NAME.to_owned()).unwrap();
        let binding = host.port_bindings.iter_mut().flatten().next().unwrap();
        let inner = binding.0.trim_end_matches("/tcp").parse().unwrap();
        binding.1.as_mut().unwrap()[0].host_port = Some(PORT.to_string());
        let mut config = found.config.unwrap();
        config.labels.iter_mut().flatten().for_each(disown);
        let config = serde_json::to_value(config).unwrap();
        let container = models::ContainerCreateBody {
            hostname: Some(NAME.to_owned()),
            host_config: Some(host),
            networking_config: Some(models::NetworkingConfig {
                endpoints_config: Some(HashMap::from([(NAME.to_owned(), models::EndpointSettings::default())])),
            }),
            ..serde_json::from_value(config).unwrap()
        };

        let mut found = self.docker.inspect_network(&name, None::<InspectNetworkOptions>).await.unwrap();
        found.labels.iter_mut().flatten().for_each(disown);
        let network = models::NetworkCreateRequest {
            name: NAME.to_owned(),
            driver: found.driver,
            ipam: Some(models::Ipam {
                driver: Some("default".to_owned()),
                config: Some(vec![models::IpamConfig { subnet: Some(SUBNET.to_owned()), ..Default::default() }]),
                options: None,
            }),
            enable_ipv6: found.enable_ipv6,
            options: found.options,
            labels: found.labels,
            ..Default::default()
        };
        Recipe { network, container, port: inner }
    }

    /// One spawn, and how long each part of it took.
    pub(crate) async fn spawn(&self, recipe: &Recipe) -> Phases {
        let mut phases = Phases::new();
        let mut since = Instant::now();
        let mut done = |name: &str| {
            let now = Instant::now();
            phases.push((name.to_owned(), now - since));
            since = now;
        };
        self.docker.create_network(recipe.network.clone()).await.unwrap();
        done("network");
        let options = CreateContainerOptionsBuilder::new().name(NAME).build();
        self.docker.create_container(Some(options), recipe.container.clone()).await.unwrap();
        done("container");
        self.docker.start_container(NAME, None).await.unwrap();
        done("start");
        self.ready(recipe).await;
        done("probe");
        phases
    }

    /// Waits until the app of [`Bare::spawn`] answers.
    pub(crate) async fn ready(&self, recipe: &Recipe) {
        let found = self.docker.inspect_container(NAME, None::<InspectContainerOptions>).await.unwrap();
        let endpoint = found.network_settings.unwrap().networks.unwrap().remove(NAME).unwrap();
        probe(endpoint.ip_address.unwrap().parse().unwrap(), recipe.port).await;
    }

    /// Removes what [`Bare::spawn`] made.
    pub(crate) async fn destroy(&self) {
        self.remove_container(NAME).await;
        self.docker.remove_network(NAME).await.unwrap();
    }

    /// Removes whatever either side left: of this run where it failed, or of one that was killed.
    pub(crate) async fn sweep(&self) {
        let filters = HashMap::from([("name".to_owned(), vec![PREFIX.to_owned()])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        for found in self.docker.list_containers(Some(options)).await.unwrap() {
            self.remove_container(&found.id.unwrap()).await;
        }
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        for found in self.docker.list_networks(Some(options)).await.unwrap() {
            self.docker.remove_network(&found.id.unwrap()).await.unwrap();
        }
    }

    async fn remove_container(&self, name: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        self.docker.remove_container(name, Some(options)).await.unwrap();
    }
}

/// Gives a label another value: with its own the server would take a copy for a leftover of the tenant's, and remove it.
fn disown((_, value): (&String, &mut String)) {
    "bare".clone_into(value);
}

/// Asks for `/health` until it answers, with the product's pauses.
async fn probe(address: Ipv4Addr, port: u16) {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    while !healthy(address, port).await {
        assert!(began.elapsed() < PATIENCE, "{address}:{port} is not healthy");
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

async fn healthy(address: Ipv4Addr, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((address, port)).await else { return false };
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}:{port}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.read_to_end(&mut answer).await
    };
    exchange.await.is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
}
