//! What must be the same in the end of what apps are given: what was acknowledged, what the API says, what is in the container.
//! And what secrets are sealed with.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::change::PREFIX;
use super::workload::{Alive, Done};
use crate::harness::{Server, eventually};

/// Compares every tenant that runs with its container.
pub(crate) async fn compare(server: &Server, done: &Done) {
    for (env_id, alive) in done.alive.iter().filter(|(_, alive)| !alive.stopped) {
        let Alive { name, given, revision, .. } = alive;
        let path = format!("/api/v1/tenant/{env_id}");
        let said = server.http.get(&format!("{path}/env")).await.expect(200);
        assert_eq!(said["env"], json!(given.plain), "{name}: acknowledged plain variables and those of the API");
        assert_eq!(said["revision"], json!(revision), "{name}: the revision that runs has these variables: {said}");
        let secrets = said["secrets"].as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap());
        let secrets: BTreeSet<&str> = secrets.collect();
        let acknowledged: BTreeSet<&str> = given.secrets.keys().map(String::as_str).collect();
        assert_eq!(secrets, acknowledged, "{name}: acknowledged secrets and those of the API");

        let shown = server.http.get(&format!("{path}/deployments/{revision}")).await.expect(200);
        assert_eq!(
            shown["limits"]["cpu"],
            given.cpu(),
            "{name}: the acknowledged limit and that of revision {revision}"
        );

        let container = inspect(&server.container(&json!({ "envId": env_id })));
        let mut expected = given.plain.clone();
        expected.extend(given.secrets.clone());
        assert_eq!(own(&container), expected, "{name}: acknowledged variables and those of the container");
        let nanos = u64::from(given.cpu_millis) * 1_000_000;
        assert_eq!(container["HostConfig"]["NanoCpus"], json!(nanos), "{name}: the limit of its container");
    }
}

/// Waits until everything is sealed with the newest key of the ring. Answers how many keys there are.
pub(crate) async fn keys(server: &Server) -> usize {
    eventually("everything is sealed with the newest key", Duration::from_secs(30), || async {
        let page = server.http.get("/api/v1/keys").await.expect(200);
        let keys = page["keys"].as_array().unwrap();
        let (newest, earlier): (Vec<&Value>, Vec<&Value>) = keys.iter().partition(|key| key["state"] == "sealing");
        assert_eq!(newest.len(), 1, "one key seals: {page}");
        if earlier.iter().all(|key| key["values"] == 0) { Ok(keys.len()) } else { Err(page.to_string()) }
    })
    .await
}

/// The variables in a container that clients have set.
fn own(container: &Value) -> BTreeMap<String, String> {
    let all = container["Config"]["Env"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let own = all.filter(|text| text.starts_with(PREFIX)).map(|text| text.split_once('=').unwrap());
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn inspect(container: &str) -> Value {
    let output = Command::new("docker").args(["container", "inspect", container]).output().unwrap();
    assert!(output.status.success(), "{container}: {}", String::from_utf8_lossy(&output.stderr));
    let mut found: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    found.remove(0)
}
