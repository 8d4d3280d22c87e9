//! Other limits while the app runs, on the real engine and by the command line.

use serde_json::{Value, json};

use super::docker_reconcile::{SOON, docker, operations};
use crate::harness::{Options, Server, eventually};

/// The id of a container, when it was started, and its limits.
fn seen(container: &str) -> Value {
    let format = r#"{"id": {{json .Id}}, "started": {{json .State.StartedAt}}, "memory": {{.HostConfig.Memory}}, "cpus": {{.HostConfig.NanoCpus}}, "quota": {{.HostConfig.CpuQuota}}}"#;
    serde_json::from_str(&docker(&["container", "inspect", "--format", format, container])).unwrap()
}

#[tokio::test]
async fn an_app_goes_on_running_with_its_new_limits_and_nothing_repairs_it() {
    let mut server = Server::with(Options::light().and("[reconcile]\ninterval-seconds = 1")).await;
    let tenant = server.spawn_plain("elastic", "static").await;
    let container = server.container(&tenant);
    let before = seen(&container);
    let said = |arguments: &[&str], good: bool| {
        let output = server.cli(arguments);
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.success(), good, "{arguments:?}: {text}");
        text
    };
    let told = said(&["scale", "elastic", "--cpu", "0.25", "--memory-mb", "300"], true);
    assert!(told.contains("went on running"), "{told}");
    let after = seen(&container);
    assert_eq!((&after["id"], &after["started"]), (&before["id"], &before["started"]), "it is the same container");
    assert_eq!(after["memory"], json!(300 * 1024 * 1024));
    assert_ne!((&after["cpus"], &after["quota"]), (&before["cpus"], &before["quota"]));
    assert!(said(&["scale", "elastic", "--cpu", "0.25"], true).contains("so already"));

    for (arguments, why) in [
        (&["scale", "elastic"][..], "--cpu"),
        (&["scale", "elastic", "--memory-mb", "1"], "MiB"),
        (&["scale", "elastic", "--memory-mb", "0"], "minimum"),
        (&["scale", "elastic", "--cpu", "nan"], "cores"),
        (&["scale", "elastic", "--cpu", "4000"], "cores"),
    ] {
        let told = said(arguments, false);
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
    assert_eq!(seen(&container), after);

    // Another server finds everything as its revision says: one look finds the other tenant's container gone, and nothing else.
    let other = server.spawn_plain("other", "static").await;
    server.kill();
    docker(&["rm", "--force", &server.container(&other)]);
    server.launch().await;
    eventually("the other tenant is repaired", SOON, || async {
        let repairs = operations(&server, "repair").await;
        if repairs.iter().any(|repair| repair["state"] == "succeeded") { Ok(()) } else { Err(format!("{repairs:?}")) }
    })
    .await;
    let repairs = operations(&server, "repair").await;
    assert!(repairs.iter().all(|repair| repair["envId"] == other["envId"]), "{repairs:?}");
    assert_eq!(seen(&container), after);
    server.destroy(&other).await;
    // A rollback has the limits of before, in a container of its own.
    let output = server.cli(&["rollback", "elastic", "1", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(seen(&container)["memory"], before["memory"]);
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.destroy(&tenant).await;
}
