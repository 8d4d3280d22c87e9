//! What every runtime must do. A new one adds a test here that calls [`conforms`].

use std::time::Duration;

use convergence_model::EnvId;
use convergence_model::workload::{EnvValue, Network, label};
use convergence_runtime::fake::FakeRuntime;
use convergence_runtime::{Ensured, ImageRemoval, LogQuery, Owner, Removal, Runtime, RuntimeError, State};

use crate::fixture::{Fixture, on, on_docker};

#[tokio::test]
async fn fake_conforms() {
    let fake = FakeRuntime::new();
    on(&fake, "conforms", async |fake, fixture| conforms(fake, fixture).await).await;
}

#[tokio::test]
async fn docker_conforms() {
    on_docker("conforms", async |docker, fixture| conforms(docker, fixture).await).await;
}

async fn conforms(runtime: &dyn Runtime, fixture: &mut Fixture) {
    let engine = runtime.engine().await.unwrap();
    assert!(engine.buildkit && !engine.version.is_empty(), "{engine:?}");
    assert_eq!(runtime.owned(&fixture.instance).await.unwrap().images, []);

    images(runtime, fixture).await;
    let network = networks(runtime, fixture).await;
    volumes(runtime, fixture).await;
    containers(runtime, fixture, &network).await;
    removal(runtime, fixture, &network).await;
}

async fn images(runtime: &dyn Runtime, fixture: &mut Fixture) {
    let build = fixture.image();
    assert_eq!(runtime.image_id(&build.tag).await.unwrap(), None);
    let mut lines = Vec::new();
    let id = runtime.build(&build, &mut |line| lines.push(line)).await.unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    assert!(!lines.is_empty());
    assert!(runtime.image_id(&build.tag).await.unwrap().is_some());
    assert_eq!(runtime.build(&build, &mut |_| {}).await.unwrap(), id, "an identical build is the same image");
    assert_eq!(runtime.base_image(&build.tag, &mut |_| {}).await.unwrap().id, id);
}

async fn networks(runtime: &dyn Runtime, fixture: &mut Fixture) -> Network {
    let labels = fixture.labels("7");
    let network = fixture.network(runtime).await;
    let mut second = labels.clone();
    second.insert(label::OPERATION.to_owned(), "second".to_owned());
    assert_eq!(runtime.ensure_network(&network, &second).await.unwrap(), Ensured::Adopted);
    let foreign = runtime.ensure_network(&network, &fixture.labels("8")).await;
    assert!(matches!(foreign, Err(RuntimeError::Conflict { .. })), "{foreign:?}");

    let rival = Network { name: format!("{}-rival", network.name), subnet: network.subnet };
    let taken = runtime.ensure_network(&rival, &labels).await;
    assert_eq!(taken, Err(RuntimeError::SubnetTaken { subnet: network.subnet.to_string() }));

    loop {
        let moved = Network { subnet: fixture.subnet(), ..network.clone() };
        match runtime.ensure_network(&moved, &labels).await {
            // The old one is gone already where another test took these addresses.
            Err(RuntimeError::SubnetTaken { .. }) => {}
            ensured => {
                assert!(matches!(ensured, Ok(Ensured::Replaced | Ensured::Created)), "{ensured:?}");
                return moved;
            }
        }
    }
}

async fn volumes(runtime: &dyn Runtime, fixture: &mut Fixture) {
    let name = fixture.volume();
    assert_eq!(runtime.ensure_volume(&name, &fixture.labels("7")).await.unwrap(), Ensured::Created);
    assert_eq!(runtime.ensure_volume(&name, &fixture.labels("7")).await.unwrap(), Ensured::Adopted);
    let foreign = runtime.ensure_volume(&name, &fixture.labels("8")).await;
    assert!(matches!(foreign, Err(RuntimeError::Conflict { .. })), "{foreign:?}");
}

async fn containers(runtime: &dyn Runtime, fixture: &mut Fixture, network: &Network) {
    let mut workload = fixture.workload(network);
    let name = workload.name.clone();
    let missing = runtime.start(&name).await;
    assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{missing:?}");
    assert!(matches!(runtime.verify(&workload).await, Err(RuntimeError::NotFound { .. })));
    assert!(matches!(runtime.logs(&name, &LogQuery::default()).await, Err(RuntimeError::NotFound { .. })));
    assert!(matches!(runtime.stats(&name).await, Err(RuntimeError::NotFound { .. })));
    assert_eq!(runtime.inspect(&name).await.unwrap(), None);
    runtime.stop(&name, fixture.owner(), Duration::ZERO).await.unwrap();

    let mut imageless = workload.clone();
    imageless.image = format!("{}:no-such-image", fixture.instance);
    let missing = runtime.ensure_container(&imageless).await;
    assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{missing:?}");

    assert_eq!(runtime.ensure_container(&workload).await.unwrap(), Ensured::Created);
    workload.labels.insert(label::OPERATION.to_owned(), "second".to_owned());
    assert_eq!(runtime.ensure_container(&workload).await.unwrap(), Ensured::Adopted);
    assert_eq!(runtime.verify(&workload).await.unwrap(), []);
    assert_eq!(runtime.inspect(&name).await.unwrap().unwrap().state, State::Created);
    assert!(matches!(runtime.stats(&name).await, Err(RuntimeError::Conflict { .. })));

    workload.env.insert("MORE".to_owned(), EnvValue::Literal("$HOME ${x} \"q\" *".to_owned()));
    assert!(!runtime.verify(&workload).await.unwrap().is_empty());
    assert_eq!(runtime.ensure_container(&workload).await.unwrap(), Ensured::Replaced);
    assert_eq!(runtime.verify(&workload).await.unwrap(), []);
    let mut foreign = workload.clone();
    foreign.labels.insert(label::TENANT.to_owned(), "8".to_owned());
    let refused = runtime.ensure_container(&foreign).await;
    assert!(matches!(refused, Err(RuntimeError::Conflict { .. })), "{refused:?}");

    runtime.start(&name).await.unwrap();
    runtime.start(&name).await.unwrap();
    let ready = runtime.wait_ready(&workload, Duration::from_secs(60)).await.unwrap();
    assert!(ready.attempts >= 1);
    let seen = runtime.inspect(&name).await.unwrap().unwrap();
    assert_eq!(seen.state, State::Running);
    assert!(seen.address.is_some() && seen.started_at.is_some(), "{seen:?}");
    assert_eq!(seen.restart_count, 0);
    assert_eq!(runtime.ensure_container(&workload).await.unwrap(), Ensured::Adopted, "one that runs is adopted");
    assert_eq!(runtime.verify(&workload).await.unwrap(), []);
    assert_eq!(runtime.exec(&name, &["true".to_owned()], Duration::from_secs(30)).await.unwrap(), 0);
    let usage = runtime.stats(&name).await.unwrap();
    assert!(usage.memory_bytes > 1024 * 1024 && usage.cpu_nanos > 0, "{usage:?}");

    let mut rival = workload.clone();
    rival.name = format!("{name}-rival");
    rival.volumes.clear();
    assert_eq!(runtime.ensure_container(&rival).await.unwrap(), Ensured::Created);
    let port = rival.published.port;
    assert_eq!(runtime.start(&rival.name).await, Err(RuntimeError::PortTaken { port }));
    assert_eq!(runtime.remove_container(&rival.name, fixture.owner()).await.unwrap(), Removal::Removed);
}

async fn removal(runtime: &dyn Runtime, fixture: &mut Fixture, network: &Network) {
    let name = fixture.workload(network).name;
    let owned = runtime.owned(&fixture.instance).await.unwrap();
    let names = |items: &[convergence_runtime::OwnedItem]| -> Vec<String> {
        items.iter().map(|item| item.name.clone()).collect()
    };
    assert_eq!(names(&owned.containers), std::slice::from_ref(&name));
    assert_eq!(names(&owned.networks), std::slice::from_ref(&network.name));
    assert_eq!(names(&owned.volumes), [fixture.volume()]);
    assert_eq!(names(&owned.images), [fixture.image().tag]);
    assert_eq!(owned.containers[0].labels.get(label::TENANT).map(String::as_str), Some("7"));

    strangers(runtime, fixture, network).await;

    let owner = fixture.owner();
    let held = runtime.remove_network(&network.name, owner).await;
    assert!(matches!(held, Err(RuntimeError::Conflict { .. })), "{held:?}");
    let held = runtime.remove_volume(&fixture.volume(), owner).await;
    assert!(matches!(held, Err(RuntimeError::Conflict { .. })), "{held:?}");
    let tag = fixture.image().tag;
    assert_eq!(runtime.remove_image(&tag, owner.instance).await.unwrap(), ImageRemoval::InUse);

    for _ in 0..2 {
        runtime.stop(&name, owner, Duration::from_secs(5)).await.unwrap();
        let state = runtime.inspect(&name).await.unwrap().unwrap().state;
        assert!(matches!(state, State::Exited { oom: false, .. }), "{state:?}");
    }
    for expected in [Removal::Removed, Removal::Absent] {
        assert_eq!(runtime.remove_container(&name, owner).await.unwrap(), expected);
        assert_eq!(runtime.remove_network(&network.name, owner).await.unwrap(), expected);
        assert_eq!(runtime.remove_volume(&fixture.volume(), owner).await.unwrap(), expected);
    }
    assert_eq!(runtime.remove_image(&tag, owner.instance).await.unwrap(), ImageRemoval::Removed);
    assert_eq!(runtime.remove_image(&tag, owner.instance).await.unwrap(), ImageRemoval::Absent);
    assert!(runtime.owned(&fixture.instance).await.unwrap().is_empty());
}

/// Another tenant, and another installation's tenant of the same number, take nothing of the first one's along.
async fn strangers(runtime: &dyn Runtime, fixture: &Fixture, network: &Network) {
    let name = fixture.workload(network).name;
    let before = runtime.owned(&fixture.instance).await.unwrap();
    let neighbour = Owner { tenant: EnvId(8), ..fixture.owner() };
    let elsewhere = Owner { instance: "try-runtime-elsewhere", ..fixture.owner() };
    for stranger in [neighbour, elsewhere] {
        runtime.stop(&name, stranger, Duration::ZERO).await.unwrap();
        assert_eq!(runtime.remove_container(&name, stranger).await.unwrap(), Removal::Foreign);
        assert_eq!(runtime.remove_network(&network.name, stranger).await.unwrap(), Removal::Foreign);
        assert_eq!(runtime.remove_volume(&fixture.volume(), stranger).await.unwrap(), Removal::Foreign);
    }
    let removed = runtime.remove_image(&fixture.image().tag, elsewhere.instance).await.unwrap();
    assert_eq!(removed, ImageRemoval::Foreign);
    assert_eq!(runtime.inspect(&name).await.unwrap().unwrap().state, State::Running);
    assert_eq!(runtime.owned(&fixture.instance).await.unwrap(), before);
}
