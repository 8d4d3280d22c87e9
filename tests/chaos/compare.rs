//! What must be the same in the end: what clients were told, what the database says, what the engine has, and ports.

use std::collections::BTreeSet;
use std::time::Duration;

use convergence_model::SourceDigest;
use convergence_runtime::docker::{Docker, DockerConfig};
use convergence_runtime::{Builder, Owned, OwnedItem, Runtime};
use convergence_source::{SourceLimits, Sources};
use serde_json::{Value, json};

use super::given;
use super::workload::{self, Alive, Done};
use crate::harness::{Server, eventually};

/// Waits until nothing is under way.
pub(crate) async fn settle(server: &Server, patience: Duration) {
    eventually("everything that was begun is over", patience, || async {
        for state in ["queued", "running"] {
            let page = server.http.get(&format!("/api/v1/operations?state={state}")).await.json();
            if page["operations"] != json!([]) {
                return Err(page.to_string());
            }
        }
        Ok(())
    })
    .await;
}

/// Compares everything with everything.
pub(crate) async fn everything(server: &Server, done: &Done) {
    for state in ["failed", "stuck"] {
        let page = server.http.get(&format!("/api/v1/operations?state={state}")).await.expect(200);
        assert_eq!(page["operations"], json!([]), "an operation is {state}");
    }
    let stored = tenants(server).await;
    let state = |alive: &Alive| if alive.stopped { "stopped" } else { "running" }.to_owned();
    let expected: Vec<_> =
        done.alive.iter().map(|(env_id, alive)| (*env_id, alive.name.clone(), alive.port, state(alive))).collect();
    assert_eq!(stored, expected, "acknowledged tenants and those in the database");

    let docker = Docker::connect(DockerConfig::default());
    let names: BTreeSet<String> = stored.iter().map(|(env_id, ..)| container(server, *env_id)).collect();
    // What a reply that came too late left behind is swept after its grace.
    let owned =
        eventually("the engine has what the database says and nothing else", Duration::from_secs(60), || async {
            let installation = server.installation().unwrap();
            let owned = docker.owned(&installation).await.map_err(|error| error.to_string())?;
            let images = docker.owned_images(&installation).await.map_err(|error| error.to_string())?;
            let set = |items: &[OwnedItem]| items.iter().map(|i| i.name.clone()).collect::<BTreeSet<_>>();
            let same = set(&owned.workloads) == names
                && set(&owned.boundaries) == names
                && owned.volumes.is_empty()
                && (images.is_empty() == names.is_empty());
            if same { Ok(owned) } else { Err(format!("{}; wanted {names:?}", shown(&owned))) }
        })
        .await;
    assert_eq!(owned.workloads.len(), names.len(), "no container is there twice: {}", shown(&owned));
    assert_eq!(owned.boundaries.len(), names.len(), "no network is there twice: {}", shown(&owned));

    let mut ports = BTreeSet::new();
    for (env_id, name, port, state) in &stored {
        let seen = docker.observe(&container(server, *env_id)).await.unwrap().unwrap();
        let runs = usize::from(state == "running");
        assert_eq!(seen.running().count(), runs, "{name} is {state}: {seen:?}");
        assert!(ports.insert(*port), "port {port} is leased twice");
        if runs == 0 {
            continue;
        }
        let answer = server.ask(&json!({ "port": port }), "/health").await;
        assert_eq!(answer.status, 200, "{name} answers at its port: {}", answer.text);
    }
    for (env_id, alive) in &done.alive {
        let page = server.http.get(&format!("/api/v1/tenant/{env_id}/deployments?limit=100")).await.expect(200);
        let mut revisions = page["deployments"].as_array().unwrap().iter();
        let current = revisions.find(|revision| revision["current"] == true).map(|revision| &revision["revision"]);
        assert_eq!(current, Some(&json!(alive.revision)), "{}: what was acknowledged last runs", alive.name);
    }
    given::compare(server, done).await;
    sources(server).await;
    // A lease that was lost would keep the lowest free port from the next tenant.
    let lowest = server.block.tenant_ports().find(|port| !ports.contains(port)).unwrap();
    let next = server.spawn_plain("after-all", "go").await;
    assert_eq!(next["port"], lowest, "the lowest port that no tenant has is free");
    server.destroy(&next).await;
}

/// Every source that is kept can be read.
async fn sources(server: &Server) {
    let folder = server.data().join("sources");
    let sources = Sources::open(folder.clone(), SourceLimits::default()).unwrap();
    let mut kept = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(digest) = name.strip_suffix(".tar").and_then(SourceDigest::from_hex) else { continue };
        assert!(sources.get(&digest).await.unwrap().is_some(), "{name} is not whole");
        kept += 1;
    }
    assert!(kept > 0, "no source is kept");
}

/// Destroys what is alive; what is left after that fails the harness.
pub(crate) async fn remove_all(server: &Server, done: &Done) {
    for env_id in done.alive.keys() {
        workload::destroy(&server.http, *env_id).await;
    }
}

async fn tenants(server: &Server) -> Vec<(i64, String, u16, String)> {
    let page = server.http.get("/api/v1/tenant?limit=1000").await.expect(200);
    let read = |tenant: &Value| {
        let port = u16::try_from(tenant["port"].as_u64().unwrap()).unwrap();
        let text = |key: &str| tenant[key].as_str().unwrap().to_owned();
        (tenant["envId"].as_i64().unwrap(), text("name"), port, text("status"))
    };
    page["tenants"].as_array().unwrap().iter().map(read).collect()
}

fn container(server: &Server, env_id: i64) -> String {
    server.container(&json!({ "envId": env_id }))
}

fn shown(owned: &Owned) -> String {
    let names = |items: &[OwnedItem]| items.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    format!(
        "containers {:?}, networks {:?}, volumes {:?}",
        names(&owned.workloads),
        names(&owned.boundaries),
        names(&owned.volumes),
    )
}
