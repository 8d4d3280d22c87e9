//! Limits that the machine cannot give.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::server::binary;
use crate::harness::{Fault, Options, Proxy, Server};

/// What the engine says of its machine.
fn machine() -> (u32, u32) {
    let output = Command::new("docker").args(["info", "--format", "{{.NCPU}} {{.MemTotal}}"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (cpus, bytes) = text.trim().split_once(' ').unwrap();
    (cpus.parse().unwrap(), u32::try_from(bytes.parse::<u64>().unwrap() >> 20).unwrap())
}

#[tokio::test]
async fn what_no_container_of_this_machine_can_get_is_refused_when_it_is_planned() {
    // Without a policy: nothing but the machine bounds what is asked for.
    let server = Server::with(Options::light()).await;
    let (cpus, memory) = machine();
    let cases = [
        (json!({ "cpu": cpus + 1 }), "limits.cpu", format!("give 0.01 to {cpus}")),
        (json!({ "cpu": 0.001 }), "limits.cpu", "0.001 is not a number of cores".to_owned()),
        (json!({ "memoryMb": memory + 1 }), "limits.memoryMb", format!("{} MiB", memory + 1)),
        (json!({ "memoryMb": 1 }), "limits.memoryMb", "1 MiB".to_owned()),
    ];
    for path in ["/api/v1/tenant/spawn", "/api/v1/tenant/plan"] {
        for (limits, field, words) in &cases {
            let body = json!({ "name": "greedy", "language": "static", "limits": limits });
            let answer = server.http.post(path, &body).await;
            assert_eq!(answer.violations(422), [*field], "{path} {limits}");
            let violation = &answer.json()["violations"][0];
            assert_eq!(violation["code"], "out-of-range");
            assert!(violation["message"].as_str().unwrap().contains(words), "{violation}");
        }
    }
    let body = json!({ "name": "x", "language": "static", "limits": { "cpu": cpus + 1, "memoryMb": memory + 1 } });
    let both = server.http.post("/api/v1/tenant/spawn", &body).await;
    assert_eq!(both.violations(422), ["limits.cpu", "limits.memoryMb"], "all of it is told at once");
    let refused = server.cli(&["spawn", "x", "--language", "static", "--cpu", "0.001"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.starts_with("error: limits.cpu: 0.001 is not"), "{said}");
    assert_eq!(server.http.get("/api/v1/operations").await.json()["operations"], json!([]), "nothing was begun");

    // All of the machine, and the least of it, can be had.
    for (name, cpu) in [("most", f64::from(cpus)), ("least", 0.01)] {
        let body = json!({ "name": name, "language": "static", "limits": { "cpu": cpu } });
        let answer = server.http.post("/api/v1/tenant/plan", &body).await.expect(200);
        assert_eq!(answer["decisions"]["limits"]["cpu"], json!(cpu));
    }
    let body = json!({ "name": "most", "language": "static", "limits": { "cpu": cpus } });
    let tenant = server.spawn(body).await;
    server.destroy(&tenant).await;
}

#[tokio::test]
async fn defaults_that_the_machine_cannot_give_stop_the_start_and_are_told_where_the_engine_was_away_then() {
    let (cpus, _) = machine();
    let proxy = Proxy::of_engine();
    let defaults = format!("[tenants.default-limits]\ncpu-millis = {}", (cpus + 1) * 1000);
    // The engine is asked once when the server starts, and does not answer.
    proxy.fault("GET", "/info", Fault::Hang, 1);
    let mut server = Server::with(Options::behind(&proxy).and(&defaults)).await;
    let ready = server.http.get("/ready").await.expect(503);
    let check: &Value = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "engine").unwrap();
    assert_eq!(check["ok"], false);
    assert!(check["detail"].as_str().unwrap().contains("`cpu-millis = "), "{check}");
    let doctor = server.cli(&["doctor", "--config", server.config_file().to_str().unwrap()]);
    let report = String::from_utf8(doctor.stdout).unwrap();
    assert!(!doctor.status.success() && report.contains("WRONG default limits"), "{report}");
    assert!(server.stop());

    let mut child = Command::new(binary())
        .args(["serve", "--config"])
        .arg(server.config_file())
        .env_remove("DATABASE_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), async {
        while child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let in_time = ended.await.is_ok();
    child.kill().ok();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(in_time && output.status.code() == Some(1), "{said}");
    let wanted =
        format!("[tenants.default-limits] asks for what this machine has not: `cpu-millis = {}`", (cpus + 1) * 1000);
    assert!(said.contains(&wanted), "{said}");
}
