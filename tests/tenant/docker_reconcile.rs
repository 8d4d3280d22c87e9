//! What happens to a tenant behind the platform's back.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::harness::{Options, Server, eventually};

/// An hour: whatever happens within a test, nobody looked because it was time to.
const BY_EVENTS_ONLY: &str = "[reconcile]\ninterval-seconds = 3600";
/// How long a repair may take on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(60);

pub(super) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker can be run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "docker {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub(super) fn exists(kind: &str, name: &str) -> bool {
    Command::new("docker").args([kind, "inspect", name]).output().is_ok_and(|output| output.status.success())
}

pub(super) async fn operations(server: &Server, kind: &str) -> Vec<Value> {
    let page = server.http.get("/api/v1/operations").await.expect(200);
    page["operations"].as_array().expect("a list").iter().filter(|o| o["kind"] == kind).cloned().collect()
}

/// Waits until so many repairs succeeded, nothing is under way, and the tenant answers. Answers the last repair.
async fn repaired(server: &Server, tenant: &Value, repairs: usize) -> Value {
    let repair = eventually("the tenant is repaired", SOON, || async {
        let done = operations(server, "repair").await;
        let good = done.iter().filter(|operation| operation["state"] == "succeeded").count();
        if good >= repairs && good == done.len() { Ok(done[0].clone()) } else { Err(format!("{done:?}")) }
    })
    .await;
    assert_eq!(server.ask(tenant, "/health").await.status, 200);
    repair
}

#[tokio::test]
async fn a_container_that_is_removed_stopped_killed_changed_or_frozen_by_hand_comes_back_as_it_should_be() {
    let server = Server::with(Options::light().and(BY_EVENTS_ONLY)).await;
    let tenant = server.spawn_plain("sturdy", "static").await;
    let name = server.container(&tenant);
    let memory = || docker(&["container", "inspect", "--format", "{{.HostConfig.Memory}}", &name]);
    let as_asked = memory();
    let changed = ["update", "--memory", "300m", "--memory-swap", "300m", &name];
    let by_hand: [(&str, &[&str]); 6] = [
        ("gone", &["rm", "--force", &name]),
        ("ended", &["stop", "--time", "1", &name]),
        ("ended", &["kill", &name]),
        ("not what its revision says", &changed),
        ("frozen", &["pause", &name]),
        ("not what its revision says", &["network", "disconnect", "--force", &name, &name]),
    ];
    for (number, (reason, command)) in by_hand.into_iter().enumerate() {
        let began = Instant::now();
        docker(command);
        let repair = repaired(&server, &tenant, number + 1).await;
        println!("docker {}: repaired after {:.1} s", command[0], began.elapsed().as_secs_f32());
        assert!(repair["reason"].as_str().is_some_and(|text| text.contains(reason)), "{command:?}: {repair}");
        assert_eq!(memory(), as_asked, "{command:?}");
        assert_eq!(docker(&["container", "inspect", "--format", "{{.State.Status}}", &name]), "running");
    }

    // Removed, and created otherwise under the same name with the same labels.
    let labels = docker(&[
        "container",
        "inspect",
        "--format",
        "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}",
        &name,
    ]);
    let image = docker(&["container", "inspect", "--format", "{{.Config.Image}}", &name]);
    let mut create = vec!["create", "--name", &name, "--privileged"];
    labels.lines().for_each(|label| create.extend(["--label", label]));
    create.push(&image);
    docker(&["rm", "--force", &name]);
    // Perhaps the platform was faster; then this one is replaced by a force.
    Command::new("docker").args(["rm", "--force", &name]).output().expect("docker can be run");
    let made = Command::new("docker").args(&create).output().expect("docker can be run").status.success();
    println!("an impostor was {}", if made { "created" } else { "too late" });
    eventually("it is as it should be", SOON, || async {
        // It may not be there at this moment.
        let format = "{{.HostConfig.Privileged}} {{.State.Status}}";
        let output = Command::new("docker").args(["container", "inspect", "--format", format, &name]).output();
        let found = String::from_utf8_lossy(&output.expect("docker can be run").stdout).trim().to_owned();
        if found == "false running" { Ok(()) } else { Err(found) }
    })
    .await;
    eventually("nothing is under way", SOON, || async {
        let page = server.http.get("/api/v1/operations?state=running").await.json();
        if page["operations"] == json!([]) { Ok(()) } else { Err(page.to_string()) }
    })
    .await;
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    // It was told each time, and did not look at everything because it was told nothing.
    assert!(!server.log().contains("tells no more"), "{}", server.log());
    server.destroy(&tenant).await;
}

/// The machine's address in the engine's default network: the first of the network. An engine says it in so many words only
/// after its second start.
fn gateway() -> String {
    let subnet = docker(&["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"]);
    let base: std::net::Ipv4Addr = subnet.split('/').next().and_then(|base| base.parse().ok()).expect("a network");
    std::net::Ipv4Addr::from(u32::from(base) + 1).to_string()
}

/// An app of Node that does `harm` to itself whenever somebody listens at an address.
fn fragile(name: &str, address: std::net::SocketAddr, harm: &str) -> Value {
    let script = format!(
        "import{{connect}}from'net';setInterval(()=>{{const s=connect({},'{}');s.on('error',()=>{{}});\
         s.on('data',()=>{{{harm}}})}},100)",
        address.port(),
        address.ip()
    );
    let encoded: String = script.bytes().map(|byte| format!("%{byte:02x}")).collect();
    json!({ "name": name, "language": "node", "env": { "NODE_OPTIONS": format!("--import data:text/javascript,{encoded}") } })
}

/// Listens at the address, and harms each app that connects.
async fn harm(address: std::net::SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("nobody else took it");
    loop {
        if let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"!").await.ok();
        }
    }
}

/// An address where containers reach the machine, and nobody listens yet.
async fn reachable_address() -> std::net::SocketAddr {
    let listener = TcpListener::bind((gateway(), 0)).await.expect("the engine's own bridge is there");
    listener.local_addr().expect("it is bound")
}

#[tokio::test]
#[ignore = "three failed health checks of its template take two minutes"]
async fn an_app_that_hangs_is_told_and_restarted() {
    let options = Options { plugins: vec!["templates/node.wasm"], ..Options::light() };
    let server = Server::with(options.and("[reconcile]\ninterval-seconds = 1\nunhealthy-seconds = 2")).await;
    let address = reachable_address().await;
    let tenant = server.spawn(fragile("hanging", address, "for(;;);")).await;
    let status = format!("/api/v1/tenant/{}/status", tenant["envId"]);
    let healthy = eventually("its health is told", SOON, || async {
        let told = server.http.get(&status).await.expect(200);
        if told["health"] == "healthy" { Ok(told) } else { Err(told.to_string()) }
    });
    assert_eq!(healthy.await["restarts"], 0);

    let unhealthy = eventually("it is unhealthy", Duration::from_secs(120), || async {
        let told = server.http.get(&status).await.expect(200);
        if told["health"] == "unhealthy" { Ok(()) } else { Err(told.to_string()) }
    });
    tokio::select! {
        () = unhealthy => {}
        () = harm(address) => unreachable!("it listens for ever"),
    }
    let repair = repaired(&server, &tenant, 1).await;
    let reason = repair["reason"].as_str().expect("a reason");
    assert!(reason.contains("health check has been failing"), "{reason}");
    let told = server.http.get(&status).await.expect(200);
    // It did not listen to SIGTERM.
    assert_eq!((&told["status"], &told["lastEnd"]["exitCode"]), (&json!("running"), &json!(137)), "{told}");
    assert_eq!(told["lastEnd"]["outOfMemory"], false, "{told}");
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn an_app_that_ends_again_and_again_is_stopped_and_comes_back_when_it_is_repaired() {
    let options = Options { plugins: vec!["templates/node.wasm"], ..Options::light() };
    let server = Server::with(options.and("[reconcile]\ninterval-seconds = 3600\ncrashes-max = 2")).await;
    let address = reachable_address().await;
    let tenant = server.spawn(fragile("fragile", address, "console.log('the fuel ran out');process.exit(7)")).await;

    let halted = eventually("it is halted", Duration::from_secs(120), || async {
        let done = operations(&server, "halt").await;
        let over = done.first().filter(|operation| operation["state"] == "succeeded");
        over.cloned().ok_or_else(|| format!("{done:?}"))
    });
    let halt = tokio::select! {
        halt = halted => halt,
        () = harm(address) => unreachable!("it listens for ever"),
    };
    let reason = halt["reason"].as_str().expect("a reason");
    assert!(reason.contains("again and again") && !reason.contains('\n'), "{reason}");
    let status = format!("/api/v1/tenant/{}/status", tenant["envId"]);
    let told = server.http.get(&status).await.expect(200);
    assert_eq!(told["status"], "failed");
    assert!(told["failure"]["message"].as_str().is_some_and(|message| message.contains("again and again")), "{told}");
    assert!(told["failure"]["log"].to_string().contains("the fuel ran out"), "{told}");
    let listed = server.http.get("/api/v1/tenant").await.expect(200);
    assert_eq!(listed["tenants"][0]["reason"]["code"], told["failure"]["code"], "{listed}");
    let state = docker(&["container", "inspect", "--format", "{{.State.Status}}", &server.container(&tenant)]);
    assert_eq!(state, "exited", "it wears nobody out any more");

    // Nobody listens there any more, so it stays up now.
    let accepted =
        server.http.post(&format!("/api/v1/tenant/{}/repair", tenant["envId"]), &json!({})).await.expect(202);
    server
        .operation(&format!("/api/v1/operations/{}", accepted["operation"]["id"].as_str().unwrap()), &["succeeded"])
        .await;
    let told = server.http.get(&status).await.expect(200);
    assert_eq!((&told["status"], &told["failure"]), (&json!("running"), &json!(null)), "{told}");
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.destroy(&tenant).await;
}
