//! Tenants of a server whose log cannot be written.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Options, Server, eventually};

#[tokio::test]
async fn a_server_that_cannot_write_its_log_spawns_repairs_and_destroys() {
    let mut server = Server::with(Options::light()).await;
    assert!(server.stop());
    server.launch_with(Stdio::null(), "2>/dev/full").await;
    let tenant = server.spawn_plain("quiet", "static").await;
    let name = server.container(&tenant);
    let killed = Command::new("docker").args(["rm", "--force", &name]).output().unwrap();
    assert!(killed.status.success(), "{killed:?}");
    // The engine's event is logged first and acted on after that.
    eventually("it is repaired", Duration::from_secs(60), || async {
        let page = server.http.get("/api/v1/operations").await.expect(200);
        let last = &page["operations"][0];
        if last["kind"] == "repair" && last["state"] == "succeeded" { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.destroy(&tenant).await;
    assert!(server.stop(), "the process that was started is the one that ends, and it ends as it should");
}
