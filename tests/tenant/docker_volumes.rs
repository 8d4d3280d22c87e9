//! The volumes of a tenant on the real engine: how much is in one, and removing it.

use serde_json::json;

use super::docker_reconcile::{docker, exists};
use crate::harness::{Options, Server, base_image};

#[tokio::test]
async fn a_volume_is_listed_with_its_real_size_and_removed_with_what_is_in_it() {
    let server = Server::with(Options::light()).await;
    let tenant = server.spawn_plain("keeper", "static").await;
    let path = format!("/api/v1/tenant/{}/volumes", tenant["envId"]);
    assert_eq!(server.http.get(&path).await.expect(200), json!({ "volumes": [] }));

    // As an earlier revision leaves one.
    let volume = format!("{}-old", server.container(&tenant));
    let labels = [
        format!("convergence.instance={}", server.installation().expect("it has started")),
        format!("convergence.tenant={}", tenant["envId"]),
    ];
    let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
    docker(&[&["volume", "create"], &labels[..], &[volume.as_str()]].concat());
    let (mount, holder) = (format!("{volume}:/data"), format!("{volume}-holder"));
    let fill = "head -c 3145728 /dev/zero > /data/file";
    docker(&["run", "--name", &holder, "--volume", &mount, base_image().as_str(), "sh", "-c", fill]);
    let expected = json!({ "volumes": [
        { "name": "old", "engineName": volume, "sizeBytes": 3 << 20, "inUse": false },
    ] });
    assert_eq!(server.http.get(&path).await.expect(200), expected);

    // What mounts it keeps it.
    let held = server.http.delete(&format!("{path}/old")).await.expect(409);
    assert_eq!(held["code"], "volume-in-use", "{held}");
    docker(&["rm", &holder]);

    let listed = server.cli(&["volume", "list", "keeper"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("old") && listed.contains("3.0 MiB"), "{listed}");
    let unsure = server.cli(&["volume", "remove", "keeper", "old"]);
    assert!(!unsure.status.success() && exists("volume", &volume), "there is nobody to ask");
    let removed = server.cli(&["volume", "remove", "keeper", "old", "--yes"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(!exists("volume", &volume));
    let again = server.cli(&["volume", "remove", "keeper", "old", "--yes"]);
    assert_eq!(again.status.code(), Some(5), "{}", String::from_utf8_lossy(&again.stderr));
    server.destroy(&tenant).await;
}
