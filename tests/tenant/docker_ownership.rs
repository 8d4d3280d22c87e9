//! What carries a tenant's labels and is not its own: renamed, copied or made by hand, while the server is there and while it
//! is not.

use std::process::Command;

use serde_json::Value;

use super::docker_reconcile::{SOON, docker, exists};
use crate::harness::{Options, Server, eventually};

/// Looks often, since nothing tells of some of what is done here.
const OFTEN: &str = "[reconcile]\ninterval-seconds = 1";

/// Names of what carries the tenant's labels.
fn labelled(server: &Server, tenant: &Value, what: &[&str]) -> Vec<String> {
    let instance = format!("label=convergence.instance={}", server.installation().unwrap());
    let number = format!("label=convergence.tenant={}", tenant["envId"]);
    let format = if what[0] == "ps" { "{{.Names}}" } else { "{{.Name}}" };
    let all = [what, &["--filter", &instance, "--filter", &number, "--format", format]].concat();
    let mut names: Vec<String> = docker(&all).lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Waits until there is one container and one network of the tenant's, under its name, and the app answers at its port.
async fn as_it_should_be(server: &Server, tenant: &Value, told: &str) {
    let name = server.container(tenant);
    eventually(told, SOON, || async {
        let containers = labelled(server, tenant, &["ps", "--all"]);
        let networks = labelled(server, tenant, &["network", "ls"]);
        let page = server.http.get("/api/v1/operations?state=running").await.json();
        let idle = page["operations"].as_array().is_some_and(Vec::is_empty);
        let right = containers == [name.clone()] && networks == [name.clone()] && idle;
        if !right {
            return Err(format!("containers {containers:?}, networks {networks:?}, {page}"));
        }
        let inside =
            ["container", "inspect", "--format", "{{.State.Status}} {{json .NetworkSettings.Networks}}", &name];
        let output = Command::new("docker").args(inside).output().expect("docker can be run");
        let inside = String::from_utf8_lossy(&output.stdout).into_owned();
        if inside.starts_with("running") && inside.contains(&name) { Ok(()) } else { Err(inside) }
    })
    .await;
    eventually("its app answers at its port", SOON, || async {
        let port = tenant["port"].as_u64().unwrap();
        let status = server.http.get(&format!("/api/v1/tenant/{}/status", tenant["envId"])).await.json();
        let answer = server.ask_if_there(tenant, "/health").await;
        if answer == Some(200) && status["port"] == port { Ok(()) } else { Err(format!("{answer:?} {status}")) }
    })
    .await;
}

/// Runs a copy of the tenant's container, labels and all.
fn copy(server: &Server, tenant: &Value, name: &str) -> String {
    let own = server.container(tenant);
    let image = format!("convergence-test-copy:{}", server.installation().unwrap());
    // Without `--pause=false` it is frozen for a moment, which is a reason to replace it.
    docker(&["commit", "--pause=false", &own, &image]);
    let format = "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}";
    let labels = docker(&["container", "inspect", "--format", format, &own]);
    let mut run = vec!["run", "--detach", "--name", name];
    labels.lines().for_each(|label| run.extend(["--label", label]));
    run.push(&image);
    docker(&run);
    image
}

fn told(server: &Server, operations: &[Value]) -> String {
    operations.iter().map(|o| format!("{} {}", o["kind"], o["reason"])).collect::<Vec<_>>().join("\n") + &server.log()
}

#[tokio::test]
async fn what_is_renamed_copied_or_disconnected_by_hand_is_put_right() {
    let server = Server::with(Options::light().and(OFTEN)).await;
    let tenant = server.spawn_plain("owned", "static").await;
    let (own, other) = (server.container(&tenant), format!("{}-by-hand", server.container(&tenant)));

    docker(&["rename", &own, &other]);
    as_it_should_be(&server, &tenant, "the renamed one gives way to the tenant's own, at its own port").await;
    assert!(!exists("container", &other));

    let before = docker(&["container", "inspect", "--format", "{{.Id}}", &own]);
    let image = copy(&server, &tenant, &other);
    as_it_should_be(&server, &tenant, "the copy is removed").await;
    let after = docker(&["container", "inspect", "--format", "{{.Id}}", &own]);
    assert_eq!(before, after, "the tenant's own is left alone");
    docker(&["rmi", "--force", &image]);

    docker(&["network", "disconnect", "--force", &own, &own]);
    as_it_should_be(&server, &tenant, "it is in its network again").await;

    docker(&["network", "disconnect", "--force", &own, &own]);
    Command::new("docker").args(["network", "rm", &own]).output().expect("docker can be run");
    as_it_should_be(&server, &tenant, "its network is there again").await;

    let repairs = super::docker_reconcile::operations(&server, "repair").await;
    let reasons = told(&server, &repairs);
    for reason in ["under another name", "another container has its labels"] {
        assert!(reasons.contains(reason), "{reason}: {reasons}");
    }
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn what_is_done_by_hand_while_no_server_is_there_is_put_right_by_the_next_one() {
    let mut server = Server::with(Options::light().and(OFTEN)).await;
    let tenant = server.spawn_plain("owned", "static").await;
    let (own, other) = (server.container(&tenant), format!("{}-by-hand", server.container(&tenant)));
    server.kill();
    let image = copy(&server, &tenant, &format!("{own}-copy"));
    docker(&["rename", &own, &other]);
    docker(&["network", "disconnect", "--force", &own, &other]);
    docker(&["network", "rm", &own]);
    server.launch().await;
    as_it_should_be(&server, &tenant, "the next server puts it right").await;
    docker(&["rmi", "--force", &image]);

    // And nothing is left after the destroy, whatever it is called.
    let image = copy(&server, &tenant, &other);
    server.destroy(&tenant).await;
    eventually("nothing of it is left", SOON, || async {
        let left = labelled(&server, &tenant, &["ps", "--all"]);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    docker(&["rmi", "--force", &image]);
}
