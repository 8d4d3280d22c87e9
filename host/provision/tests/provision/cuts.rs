//! The connection to PostgreSQL is cut around every COMMIT of a spawn and of a destroy, before the server hears of it and
//! after it was carried out. The caller sends the request again, as clients do; nobody else helps.
#![expect(clippy::print_stdout, reason = "how many cuts there were is worth seeing")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use convergence_access::development::HOME;
use convergence_model::operation::{Operation, OperationState, Subject};
use convergence_model::{EnvId, EnvName, OperationId, Scope, Secret};
use convergence_provision::{AcceptError, NewVariables, Provisioner, RotateError};
use convergence_runtime::{Builder, Runtime};
use convergence_store::{Conflict, Idempotency, OperationQuery, Store, StoreError, TenantQuery};
use convergence_test_database::{Cut, Cutter, Fresh};
use convergence_work::RequestError;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::bench::{INSTANCE, PORTS, Site, spec};

/// Longer than any case takes, the lease of a worker that does not know it has one included.
const PATIENCE: Duration = Duration::from_secs(30);
/// More commits than any operation has.
const COMMITS_MAX: usize = 100;

/// A server whose way to the database is cut now and then, and one that looks at what really is there.
struct Scene {
    cutter: Cutter,
    provisioner: Arc<Provisioner>,
    site: Site,
    _stop: DropGuard,
}

impl Scene {
    async fn new() -> Self {
        let mut site = Site::on(Fresh::postgres().await).await;
        // One at a time, so that nobody else commits meanwhile; a claim that was carried out unheard waits for its lease.
        site.work.concurrency = 1;
        site.work.lease = Duration::from_secs(3);
        let cutter = Cutter::in_front_of(site.location()).await;
        let store = Arc::new(Store::open(cutter.location()).await.unwrap());
        let front = site.front(store);
        let provisioner = Arc::clone(&front.provisioner);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn({
            let (stop, tasks) = (stop.clone(), tasks.clone());
            async move { front.work(stop, tasks).await }
        });
        Self { cutter, provisioner, site, _stop: stop.drop_guard() }
    }

    /// Asks for a tenant until the answer says which operation makes it.
    async fn ask_for_spawn(&self, key: &str) -> OperationId {
        let idempotency = || Some(Idempotency { key: key.to_owned(), request: b"app".to_vec() });
        let asked = Instant::now();
        loop {
            let caller = &self.site.caller;
            match self.provisioner.spawn(&Scope::platform(), caller, HOME, spec("app"), idempotency()).await {
                Ok(accepted) => return accepted.operation.id,
                Err(AcceptError::Store(StoreError::Unavailable(_))) if asked.elapsed() < PATIENCE => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Asks for a tenant's end until the answer says which operation does it, or that there is no such tenant any more.
    async fn ask_for_destroy(&self, env_id: EnvId) {
        let asked = Instant::now();
        loop {
            match self.provisioner.destroy(&Scope::platform(), &self.site.caller, env_id, None).await {
                Ok(_)
                | Err(RequestError::Absent | RequestError::Store(StoreError::Conflict(Conflict::SubjectBusy { .. }))) =>
                {
                    return;
                }
                Err(RequestError::Store(StoreError::Unavailable(_))) if asked.elapsed() < PATIENCE => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// The newest operations on a tenant, each over.
    async fn over(&self, env_id: EnvId, told: &str) -> Vec<Operation> {
        let query = OperationQuery { subject: Some(Subject::tenant(env_id)), state: None, before: None, limit: 10 };
        let asked = Instant::now();
        loop {
            let all = self.site.store.operations(&Scope::platform(), query.clone()).await.unwrap();
            if !all.is_empty() && all.iter().all(|operation| operation.state.is_final()) {
                return all;
            }
            assert!(asked.elapsed() < PATIENCE, "{told}: {all:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Makes a tenant; answers it, after a look at everything there is.
    async fn spawn(&self, key: &str, told: &str) -> EnvId {
        let id = self.ask_for_spawn(key).await;
        let env_id = self.site.store.operation(&Scope::platform(), id).await.unwrap().unwrap().env_id().unwrap();
        let all = self.over(env_id, told).await;
        let states: Vec<_> =
            all.iter().map(|operation| (operation.id, operation.kind.as_str(), operation.state)).collect();
        assert_eq!(states, [(id, "spawn", OperationState::Succeeded)], "{told}");
        let query = TenantQuery { org: None, after: None, limit: 10 };
        let tenants = self.site.store.tenants(&Scope::platform(), query).await.unwrap();
        assert_eq!((tenants.len(), tenants[0].0.env_id), (1, env_id), "{told}");
        // The lowest: no port and no network is left from the tenant before, or taken twice for this one.
        let binding = &tenants[0].1;
        assert_eq!((binding.port, binding.subnet.to_string().as_str()), (*PORTS.start(), "10.9.0.0/28"), "{told}");
        let owned = self.site.runtime.owned(INSTANCE).await.unwrap();
        let images = self.site.runtime.owned_images(INSTANCE).await.unwrap();
        assert_eq!((owned.workloads.len(), owned.boundaries.len(), images.len()), (1, 1, 1), "{told}");
        env_id
    }

    /// Removes a tenant, and looks whether anything is left of it.
    async fn destroy(&self, env_id: EnvId, told: &str) {
        self.ask_for_destroy(env_id).await;
        let asked = Instant::now();
        // A destroy whose request was not heard the first time is there at the latest now.
        while self.site.store.tenant(&Scope::platform(), env_id).await.unwrap().is_some() {
            assert!(asked.elapsed() < PATIENCE, "{told}: {:?}", self.over(env_id, told).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let all = self.over(env_id, told).await;
        let ended: Vec<_> = all.iter().map(|operation| (operation.kind.as_str(), operation.state)).collect();
        let good = |kind| (kind, OperationState::Succeeded);
        assert_eq!(ended, [good("destroy"), good("spawn")], "{told}");
        assert!(self.site.runtime.left(INSTANCE).is_empty(), "{told}");
        assert_eq!(self.site.store.unfinished().await.unwrap(), 0, "{told}");
    }
}

impl Scene {
    /// Rotates the key ring; answers the newest operations on the platform once they are over.
    async fn rotate(&self, told: &str) {
        let asked = Instant::now();
        loop {
            match self.provisioner.rotate_keys(&self.site.caller).await {
                Ok(_) | Err(RotateError::Request(RequestError::Store(StoreError::Conflict(_)))) => break,
                Err(RotateError::Request(RequestError::Store(StoreError::Unavailable(_))))
                    if asked.elapsed() < PATIENCE => {}
                Err(other) => panic!("{told}: {other}"),
            }
        }
        while self.site.store.unfinished().await.unwrap() > 0 {
            assert!(asked.elapsed() < PATIENCE, "{told}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_a_cut_around_every_commit() {
    let scene = Scene::new().await;
    let env_id = scene.spawn("spawn", "before the rotations").await;
    let names = (0..60).map(|number| EnvName::parse(&format!("S{number}")).unwrap());
    let secrets = names.map(|name| (name, Some(Secret::new("value")))).collect();
    let (change, scope) = (NewVariables { secrets, ..NewVariables::default() }, Scope::platform());
    scene.provisioner.configure(&scope, &scene.site.caller, env_id, &change, false, String::new()).await.unwrap();
    let mut cuts = 0;
    for n in 1..=COMMITS_MAX {
        for cut in [Cut::Before, Cut::After] {
            let told = format!("rekey, cut {cut:?} commit {n}");
            scene.cutter.cut(n, cut);
            scene.rotate(&told).await;
            let was_cut = scene.cutter.restore();
            let ring = scene.provisioner.ring().await.unwrap();
            let sealed: Vec<_> =
                ring.iter().filter_map(|key| Some((key.is_newest, key.known.as_ref()?.values))).collect();
            assert!(sealed.contains(&(true, 60)), "{told}: {ring:?}");
            assert!(sealed.iter().all(|(newest, values)| *newest || *values == 0), "{told}: {ring:?}");
            if !was_cut {
                println!("{cuts} cuts around the {} commits of a rotation", n - 1);
                // Accepted, claimed, key begun and known, sealing begun, two batches, over.
                assert!(cuts >= 2 * 7, "{cuts}");
                return;
            }
            cuts += 1;
        }
    }
    panic!("a rotation commits more than {COMMITS_MAX} times");
}

/// Cuts around each COMMIT of an operation in turn, until there are no more; answers how many cuts that were.
async fn cut_everywhere(kind: &str) -> usize {
    let scene = Scene::new().await;
    let mut cuts = 0;
    for n in 1..=COMMITS_MAX {
        for cut in [Cut::Before, Cut::After] {
            let told = format!("{}, cut {cut:?} commit {n}", kind);
            let key = told.as_str();
            let was_cut = if kind == "spawn" {
                scene.cutter.cut(n, cut);
                let env_id = scene.spawn(key, &told).await;
                let was_cut = scene.cutter.restore();
                scene.destroy(env_id, &told).await;
                was_cut
            } else {
                let env_id = scene.spawn(key, &told).await;
                scene.cutter.cut(n, cut);
                scene.destroy(env_id, &told).await;
                scene.cutter.restore()
            };
            if !was_cut {
                println!("{cuts} cuts around the {} commits of a {}", n - 1, kind);
                return cuts;
            }
            cuts += 1;
        }
    }
    panic!("a {} commits more than {COMMITS_MAX} times", kind);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spawn_survives_a_cut_around_every_commit() {
    // Accepted, claimed, each of six steps begun, image named and built, over.
    assert!(cut_everywhere("spawn").await >= 2 * 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroy_survives_a_cut_around_every_commit() {
    assert!(cut_everywhere("destroy").await >= 2 * 6);
}
