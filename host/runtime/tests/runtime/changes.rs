//! What Docker tells of while somebody listens, also of what is done by hand.

use std::time::Duration;

use bollard::models;
use bollard::query_parameters::{CreateContainerOptionsBuilder, KillContainerOptions, RenameContainerOptions};
use convergence_model::EnvId;
use convergence_model::workload::label;
use convergence_runtime::{
    Change, ChangeStream, Changeable, Changed, Desired, HealthStatus, Placement, Removal, Runtime, State,
};
use futures_util::StreamExt;

use crate::fixture::{by_hand, on_docker};

const WAIT: Duration = Duration::from_secs(60);

/// Waits until this is told; answers with what name and id.
async fn told(changes: &mut ChangeStream, what: Changeable, change: &Change) -> Changed {
    let hear = async {
        loop {
            let changed = changes.next().await.expect("the stream goes on").unwrap();
            assert_eq!(changed.tenant, EnvId(7), "{changed:?}");
            assert!(changed.labels.contains_key(label::INSTANCE), "{changed:?}");
            if (changed.what, &changed.change) == (what, change) {
                return changed;
            }
        }
    };
    tokio::time::timeout(WAIT, hear).await.unwrap_or_else(|_| panic!("nobody told of {what:?} {change:?}"))
}

#[tokio::test]
async fn docker_tells_what_happens_to_containers_and_networks() {
    on_docker("changes", async |docker, fixture| {
        let mut workload = fixture.prepare(docker).await;
        let sick = "import os, sys; sys.exit(os.path.exists('/tmp/sick'))";
        workload.health.in_container = Some(["python3", "-c", sick].map(str::to_owned).to_vec());
        (workload.health.interval_seconds, workload.health.retries) = (1, 1);
        let (name, network) = (workload.name.clone(), workload.boundary.name.clone());
        let mut changes = docker.changes(&fixture.instance).await.unwrap();
        let by_hand = by_hand().await;

        assert_eq!(docker.ensure(&workload, Desired::ONE).await, Ok(Placement::Created));
        let made = told(&mut changes, Changeable::Workload, &Change::Created).await;
        assert_eq!(
            (made.name.as_str(), made.labels.get(label::TENANT).map(String::as_str)),
            (name.as_str(), Some("7"))
        );
        told(&mut changes, Changeable::Workload, &Change::Started).await;
        docker.wait_ready(&workload, WAIT).await.unwrap();

        told(&mut changes, Changeable::Workload, &Change::Health(HealthStatus::Healthy)).await;
        let ill = ["touch", "/tmp/sick"].map(str::to_owned);
        assert_eq!(docker.exec(&name, &ill, WAIT, &mut |_, _| {}).await, Ok(0));
        told(&mut changes, Changeable::Workload, &Change::Health(HealthStatus::Unhealthy)).await;
        let seen = docker.observe(&name).await.unwrap().unwrap();
        assert_eq!(seen.instances[0].health, Some(HealthStatus::Unhealthy));

        // Renamed by hand: found by its label, and by its id under any name.
        let other = format!("{name}-renamed");
        by_hand.rename_container(&name, RenameContainerOptions { name: other.clone() }).await.unwrap();
        let renamed = told(&mut changes, Changeable::Workload, &Change::Renamed { from: name.clone() }).await;
        assert_eq!((renamed.name.as_str(), renamed.id.as_str()), (other.as_str(), made.id.as_str()));
        assert_eq!(docker.observe(&name).await.unwrap(), None);
        let owned = docker.owned(&fixture.instance).await.unwrap().workloads;
        assert_eq!(
            (owned[0].name.as_str(), owned[0].id.as_str(), owned[0].state),
            (other.as_str(), made.id.as_str(), Some(State::Running))
        );
        assert_eq!(docker.observe(&made.id).await.unwrap().unwrap().name, other);

        // Connected to a network that is not ours, and back; disconnected from its own, which is then removed.
        let connect =
            |container: &str| models::NetworkConnectRequest { container: container.to_owned(), ..Default::default() };
        let disconnect =
            |container: &str| models::NetworkDisconnectRequest { container: container.to_owned(), force: Some(true) };
        by_hand.connect_network("bridge", connect(&made.id)).await.unwrap();
        let connected = told(&mut changes, Changeable::Boundary, &Change::Connected).await;
        assert_eq!(connected.name, "bridge");
        by_hand.disconnect_network("bridge", disconnect(&made.id)).await.unwrap();
        told(&mut changes, Changeable::Boundary, &Change::Disconnected).await;
        by_hand.disconnect_network(&network, disconnect(&made.id)).await.unwrap();
        // Docker may say it twice of the one before.
        while told(&mut changes, Changeable::Boundary, &Change::Disconnected).await.name != network {}
        by_hand.remove_network(&network).await.unwrap();
        assert_eq!(told(&mut changes, Changeable::Boundary, &Change::Removed).await.name, network);

        by_hand.kill_container(&made.id, None::<KillContainerOptions>).await.unwrap();
        told(&mut changes, Changeable::Workload, &Change::Ended { code: Some(137) }).await;
        assert_eq!(docker.remove(&made.id, fixture.owner()).await.unwrap(), Removal::Removed);
        told(&mut changes, Changeable::Workload, &Change::Removed).await;
    })
    .await;
}

/// A copy that carries our labels is ours to find, under whatever name it has.
#[tokio::test]
async fn docker_lists_what_was_copied_with_its_labels() {
    on_docker("copies", async |docker, fixture| {
        let workload = fixture.prepare(docker).await;
        let _ = docker.ensure(&workload, Desired::Stopped).await.unwrap();
        let by_hand = by_hand().await;
        let labels = docker.observe(&workload.name).await.unwrap().unwrap().labels;
        let copy = format!("{}-copy", workload.name);
        let body = models::ContainerCreateBody {
            image: Some(workload.image.clone()),
            labels: Some(labels.into_iter().collect()),
            ..Default::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&copy).build();
        by_hand.create_container(Some(options), body).await.unwrap();
        let owned = docker.owned(&fixture.instance).await.unwrap().workloads;
        let names: Vec<_> = owned.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, [workload.name.as_str(), copy.as_str()]);
        assert_eq!(docker.remove(&owned[1].id, fixture.owner()).await.unwrap(), Removal::Removed);
        assert_eq!(docker.verify(&workload).await.unwrap(), []);
    })
    .await;
}
