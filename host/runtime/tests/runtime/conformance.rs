//! What every builder and runtime must do. A new one adds a test here that calls [`conforms`].

use std::time::Duration;

use convergence_model::EnvId;
use convergence_model::workload::{Boundary, EnvValue, Workload, label};
use convergence_runtime::fake::FakeRuntime;
use convergence_runtime::{
    Builder, Desired, Ensured, ImageRemoval, LogQuery, OwnedItem, Owner, Placement, Pull, Reach, Removal, Rollout,
    Runtime, RuntimeError, State,
};

use crate::capabilities;
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

async fn conforms<R: Runtime + Builder>(runtime: &R, fixture: &mut Fixture) {
    let engine = runtime.engine().await.unwrap();
    assert!(engine.buildkit && !engine.version.is_empty(), "{engine:?}");
    Runtime::ping(runtime).await.unwrap();
    Builder::ping(runtime).await.unwrap();
    let nodes = runtime.nodes().await.unwrap();
    assert!(nodes.iter().all(|node| node.cpus > 0 && node.memory_bytes > 0) && !nodes.is_empty(), "{nodes:?}");
    assert_eq!(runtime.owned_images(&fixture.instance).await.unwrap(), []);

    images(runtime, fixture).await;
    let boundary = boundaries(runtime, fixture).await;
    volumes(runtime, fixture).await;
    let workload = workloads(runtime, fixture, &boundary).await;
    capabilities::shown(runtime, fixture, &workload).await;
    stopping(runtime, fixture, &workload).await;
    removal(runtime, fixture, &workload).await;
}

async fn images<R: Builder>(builder: &R, fixture: &mut Fixture) {
    let build = fixture.image();
    assert_eq!(builder.image_id(&build.tag).await.unwrap(), None);
    let mut lines = Vec::new();
    let id = builder.build(&build, &mut |line| lines.push(line)).await.unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    assert!(!lines.is_empty());
    assert!(builder.image_id(&build.tag).await.unwrap().is_some());
    assert_eq!(builder.build(&build, &mut |_| {}).await.unwrap(), id, "an identical build is the same image");
    assert_eq!(builder.base_image(&build.tag, &Pull::default(), &mut |_| {}).await.unwrap().id, id);
    let published = builder.publish(&build.tag).await.unwrap();
    assert_eq!(builder.publish(&build.tag).await.unwrap(), published, "the same image is called the same");
}

async fn boundaries(runtime: &dyn Runtime, fixture: &mut Fixture) -> Boundary {
    let labels = fixture.labels("7");
    let boundary = fixture.boundary(runtime).await;
    let mut second = labels.clone();
    second.insert(label::OPERATION.to_owned(), "second".to_owned());
    assert_eq!(runtime.ensure_boundary(&boundary, &second).await.unwrap(), Ensured::Adopted);
    let foreign = runtime.ensure_boundary(&boundary, &fixture.labels("8")).await;
    assert!(matches!(foreign, Err(RuntimeError::Conflict { .. })), "{foreign:?}");
    if !runtime.capabilities().leased_addresses {
        return boundary;
    }

    let rival = Boundary { name: format!("{}-rival", boundary.name), ..boundary.clone() };
    let taken = runtime.ensure_boundary(&rival, &labels).await;
    assert_eq!(taken, Err(RuntimeError::SubnetTaken { subnet: boundary.addresses.unwrap().to_string() }));

    loop {
        let moved = Boundary { addresses: Some(fixture.subnet()), ..boundary.clone() };
        match runtime.ensure_boundary(&moved, &labels).await {
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
    let sizes = runtime.volume_sizes(&fixture.instance).await.unwrap();
    assert_eq!(sizes.keys().collect::<Vec<_>>(), [&name]);
    // Nothing is in it but, perhaps, its own folder.
    assert!(sizes[&name].is_none_or(|bytes| bytes <= 4096), "{sizes:?}");
    assert!(runtime.volume_sizes("try-runtime-elsewhere").await.unwrap().is_empty(), "others' are not told of");
}

/// What is ensured, looked at and waited for; ends with one that runs.
async fn workloads(runtime: &dyn Runtime, fixture: &mut Fixture, boundary: &Boundary) -> Workload {
    let mut workload = fixture.workload(boundary);
    workload.published = workload.published.filter(|_| runtime.capabilities().host_ports);
    let name = workload.name.clone();
    nothing_there(runtime, fixture, &workload).await;

    assert_eq!(runtime.ensure(&workload, Desired::Stopped).await, Ok(Placement::Created));
    workload.labels.insert(label::OPERATION.to_owned(), "second".to_owned());
    assert_eq!(runtime.ensure(&workload, Desired::Stopped).await, Ok(Placement::Adopted));
    assert_eq!(runtime.verify(&workload).await.unwrap(), []);
    let made = runtime.observe(&name).await.unwrap().unwrap();
    assert!(made.running().next().is_none() && made.endpoints.is_empty(), "made and not started: {made:?}");
    assert!(made.instances.iter().all(|instance| instance.last_end.is_none()), "it never ran: {made:?}");
    assert!(matches!(runtime.stats(&name).await, Err(RuntimeError::Conflict { .. })));

    workload.env.insert("MORE".to_owned(), EnvValue::Literal("$HOME ${x} \"q\" *".to_owned()));
    assert!(!runtime.verify(&workload).await.unwrap().is_empty());
    assert_eq!(runtime.ensure(&workload, Desired::Stopped).await, Ok(Placement::Replaced));
    assert_eq!(runtime.verify(&workload).await.unwrap(), []);
    let mut foreign = workload.clone();
    foreign.labels.insert(label::TENANT.to_owned(), "8".to_owned());
    for desired in [Desired::Stopped, Desired::ONE] {
        let refused = runtime.ensure(&foreign, desired).await;
        assert!(matches!(refused, Err(RuntimeError::Conflict { .. })), "{refused:?}");
    }

    assert_eq!(runtime.ensure(&workload, Desired::ONE).await, Ok(Placement::Adopted), "it was made, and is started");
    assert_eq!(runtime.ensure(&workload, Desired::ONE).await, Ok(Placement::Adopted));
    let ready = runtime.wait_ready(&workload, Duration::from_secs(60)).await.unwrap();
    assert!(ready.attempts >= 1);
    it_runs(runtime, fixture, &workload).await;
    assert_eq!(runtime.verify(&workload).await.unwrap(), []);
    let usage = runtime.stats(&name).await.unwrap();
    assert!(usage.memory_bytes > 1024 * 1024 && usage.cpu_nanos > 0, "{usage:?}");
    workload
}

async fn nothing_there(runtime: &dyn Runtime, fixture: &Fixture, workload: &Workload) {
    let name = &workload.name;
    assert!(matches!(runtime.verify(workload).await, Err(RuntimeError::NotFound { .. })));
    assert!(matches!(runtime.logs(name, &LogQuery::default()).await, Err(RuntimeError::NotFound { .. })));
    assert!(matches!(runtime.stats(name).await, Err(RuntimeError::NotFound { .. })));
    assert_eq!(runtime.observe(name).await.unwrap(), None);
    runtime.stop(name, fixture.owner(), Duration::ZERO).await.unwrap();
    let mut imageless = workload.clone();
    imageless.image = format!("{}:no-such-image", fixture.instance);
    for desired in [Desired::Stopped, Desired::ONE] {
        let missing = runtime.ensure(&imageless, desired).await;
        assert!(matches!(missing, Err(RuntimeError::NotFound { .. })), "{missing:?}");
    }
}

/// What is observed of one that runs.
async fn it_runs(runtime: &dyn Runtime, fixture: &Fixture, workload: &Workload) {
    let nodes: Vec<_> = runtime.nodes().await.unwrap().into_iter().map(|node| node.id).collect();
    let seen = runtime.observe(&workload.name).await.unwrap().unwrap();
    assert_eq!((&seen.name, &seen.rollout), (&workload.name, &Rollout::Complete));
    assert_eq!(seen.labels.get(label::INSTANCE), Some(&fixture.instance));
    let [instance] = seen.instances.as_slice() else { panic!("{seen:?}") };
    assert_eq!((instance.state, instance.restarts), (State::Running, 0));
    assert!(instance.started_at.is_some() && nodes.contains(&instance.node), "{seen:?}");
    assert!(instance.image_digest.starts_with("sha256:"), "{seen:?}");
    let dialled: Vec<_> = seen.endpoints.iter().filter(|endpoint| endpoint.reach == Reach::Instance).collect();
    let [endpoint] = dialled.as_slice() else { panic!("{seen:?}") };
    assert_eq!(endpoint.instance.as_ref(), Some(&instance.id));
    assert_eq!((Some(endpoint.address.ip()), endpoint.address.port()), (instance.address, workload.container_port));
    assert_eq!(runtime.observe(&instance.id).await.unwrap(), Some(seen.clone()), "an id means the same as a name");
}

/// Stopped and started again, by what is desired and by name.
async fn stopping(runtime: &dyn Runtime, fixture: &Fixture, workload: &Workload) {
    let name = &workload.name;
    assert_eq!(runtime.ensure(workload, Desired::Stopped).await, Ok(Placement::Adopted));
    let seen = runtime.observe(name).await.unwrap().unwrap();
    assert!(seen.running().next().is_none() && seen.endpoints.is_empty(), "{seen:?}");
    for end in seen.instances.iter().map(|instance| instance.last_end.unwrap()) {
        assert!(!end.oom && end.code.is_some() && end.at.is_some(), "{end:?}");
    }
    assert_eq!(runtime.ensure(workload, Desired::ONE).await, Ok(Placement::Adopted));
    runtime.wait_ready(workload, Duration::from_secs(60)).await.unwrap();
    let lines = runtime.logs(name, &LogQuery::default()).await.unwrap();
    for _ in 0..2 {
        runtime.stop(name, fixture.owner(), Duration::from_secs(5)).await.unwrap();
        let seen = runtime.observe(name).await.unwrap().unwrap();
        assert!(seen.running().next().is_none(), "{seen:?}");
    }
    assert_eq!(runtime.logs(name, &LogQuery::default()).await.unwrap(), lines, "it is left with what it printed");
    assert_eq!(runtime.ensure(workload, Desired::ONE).await, Ok(Placement::Adopted));
    runtime.wait_ready(workload, Duration::from_secs(60)).await.unwrap();
}

async fn removal<R: Runtime + Builder>(runtime: &R, fixture: &mut Fixture, workload: &Workload) {
    let (name, boundary) = (&workload.name, &workload.boundary.name);
    let owned = runtime.owned(&fixture.instance).await.unwrap();
    let images = runtime.owned_images(&fixture.instance).await.unwrap();
    let names = |items: &[OwnedItem]| -> Vec<String> { items.iter().map(|item| item.name.clone()).collect() };
    assert_eq!(names(&owned.workloads), std::slice::from_ref(name));
    assert_eq!(names(&owned.boundaries), std::slice::from_ref(boundary));
    assert_eq!(names(&owned.volumes), [fixture.volume()]);
    assert_eq!(names(&images), [fixture.image().tag]);
    assert_eq!(owned.workloads[0].labels.get(label::TENANT).map(String::as_str), Some("7"));
    assert_eq!(owned.workloads[0].state, Some(State::Running));

    others(runtime, fixture, workload).await;

    let owner = fixture.owner();
    let held = runtime.remove_boundary(boundary, owner).await;
    assert!(matches!(held, Err(RuntimeError::Conflict { .. })), "{held:?}");
    let held = runtime.remove_volume(&fixture.volume(), owner).await;
    assert!(matches!(held, Err(RuntimeError::Conflict { .. })), "{held:?}");
    let tag = fixture.image().tag;
    assert_eq!(runtime.remove_image(&tag, owner.instance).await.unwrap(), ImageRemoval::InUse);

    // By its id, as what was renamed is; by its name the second time.
    assert_eq!(runtime.remove(&owned.workloads[0].id, owner).await.unwrap(), Removal::Removed);
    assert_eq!(runtime.remove(name, owner).await.unwrap(), Removal::Absent);
    assert_eq!(runtime.remove_boundary(&owned.boundaries[0].id, owner).await.unwrap(), Removal::Removed);
    assert_eq!(runtime.remove_boundary(boundary, owner).await.unwrap(), Removal::Absent);
    for expected in [Removal::Removed, Removal::Absent] {
        assert_eq!(runtime.remove_volume(&fixture.volume(), owner).await.unwrap(), expected);
    }
    assert_eq!(runtime.remove_image(&tag, owner.instance).await.unwrap(), ImageRemoval::Removed);
    assert_eq!(runtime.remove_image(&tag, owner.instance).await.unwrap(), ImageRemoval::Absent);
    assert!(runtime.owned(&fixture.instance).await.unwrap().is_empty());
    assert_eq!(runtime.owned_images(&fixture.instance).await.unwrap(), []);
}

/// Another tenant, and another installation's tenant of the same number, can stop and remove nothing of the first one's.
async fn others<R: Runtime + Builder>(runtime: &R, fixture: &Fixture, workload: &Workload) {
    let name = &workload.name;
    let before = runtime.owned(&fixture.instance).await.unwrap();
    let neighbour = Owner { tenant: EnvId(8), ..fixture.owner() };
    let elsewhere = Owner { instance: "try-runtime-elsewhere", ..fixture.owner() };
    for other in [neighbour, elsewhere] {
        runtime.stop(name, other, Duration::ZERO).await.unwrap();
        assert_eq!(runtime.remove(name, other).await.unwrap(), Removal::Foreign);
        assert_eq!(runtime.remove_boundary(&workload.boundary.name, other).await.unwrap(), Removal::Foreign);
        assert_eq!(runtime.remove_volume(&fixture.volume(), other).await.unwrap(), Removal::Foreign);
    }
    let removed = runtime.remove_image(&fixture.image().tag, elsewhere.instance).await.unwrap();
    assert_eq!(removed, ImageRemoval::Foreign);
    assert_eq!(runtime.observe(name).await.unwrap().unwrap().running().count(), 1);
    assert_eq!(runtime.owned(&fixture.instance).await.unwrap(), before);
}
