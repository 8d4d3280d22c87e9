//! What is in the engine with our label and belongs to no tenant: what is removed, and what waits for an operator.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::docker_reconcile::{SOON, docker, exists, operations};
use crate::harness::{Options, Server, base_image, eventually};

/// The number of a tenant that was destroyed, and the tag of its image.
async fn former(server: &Server) -> (i64, String) {
    let tenant = server.spawn_plain("former", "static").await;
    let image = docker(&["container", "inspect", "--format", "{{.Config.Image}}", &server.container(&tenant)]);
    server.destroy(&tenant).await;
    (tenant["envId"].as_i64().unwrap(), image)
}

/// Something of each kind that says it is an installation's and a tenant's; and the same of another installation.
struct Strays {
    names: Vec<(&'static str, &'static str, String)>,
    others: Vec<(&'static str, String)>,
}

impl Strays {
    /// `image` is the tag of theirs; one that no tenant ever had where absent.
    fn make(server: &Server, tenant: i64, image: Option<&str>) -> Self {
        let prefix = format!("{}-stray", server.block.name_prefix());
        let (ours, theirs) = (format!("{prefix}-ours"), format!("{prefix}-theirs"));
        let labels = [
            format!("convergence.instance={}", server.installation().expect("it has started")),
            format!("convergence.tenant={tenant}"),
            "convergence.organization=1".to_owned(),
        ];
        let foreign = ["convergence.instance=somebodyelse", "convergence.tenant=999", "convergence.organization=1"];
        let flags =
            |labels: &[&str]| labels.iter().flat_map(|l| ["--label".to_owned(), (*l).to_owned()]).collect::<Vec<_>>();
        for (name, flags) in [(&ours, flags(&labels.each_ref().map(String::as_str))), (&theirs, flags(&foreign))] {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            docker(&[&["create", "--name", name], &flags[..], &[base_image().as_str(), "true"]].concat());
            docker(&[&["volume", "create"], &flags[..], &[name]].concat());
            docker(&[&["network", "create"], &flags[..], &[name]].concat());
            // An image of its own, or the label would be on that of all tests.
            let change: Vec<String> = flags.chunks(2).map(|pair| format!("LABEL {}", pair[1])).collect();
            let mut commit = vec!["commit"];
            change.iter().for_each(|change| commit.extend(["--change", change]));
            let own = format!("{name}:1");
            let tag = image.filter(|_| *name == ours).unwrap_or(&own);
            docker(&[&commit[..], &[name, tag]].concat());
        }
        let image = image.map_or_else(|| format!("{ours}:1"), str::to_owned);
        Self {
            names: vec![
                ("container", "Container", ours.clone()),
                ("network", "Network", ours.clone()),
                ("volume", "Volume", ours),
                ("image", "Image", image),
            ],
            others: vec![
                ("container", theirs.clone()),
                ("network", theirs.clone()),
                ("volume", theirs.clone()),
                ("image", format!("{theirs}:1")),
            ],
        }
    }

    /// Waits until all of them are reported; answers them.
    async fn reported(&self, server: &Server) -> Vec<Value> {
        eventually("what belongs to nobody is reported", SOON, || async {
            let text = server.http.get("/api/v1/leftovers").await;
            let found = text.json()["leftovers"].as_array().cloned().unwrap_or_default();
            let all = self.names.iter().all(|(_, kind, name)| {
                found.iter().any(|leftover| leftover["kind"] == *kind && leftover["name"] == name.as_str())
            });
            assert!(self.others.iter().all(|(_, name)| !text.text.contains(name.as_str())), "{}", text.text);
            if all { Ok(found) } else { Err(text.text) }
        })
        .await
    }

    fn left(&self) -> Vec<&str> {
        self.names.iter().filter(|(kind, _, name)| exists(kind, name)).map(|(_, kind, _)| *kind).collect()
    }
}

impl Drop for Strays {
    fn drop(&mut self) {
        let all =
            self.names.iter().map(|(kind, _, name)| (*kind, name)).chain(self.others.iter().map(|(k, n)| (*k, n)));
        for (kind, name) in all.filter(|(kind, name)| exists(kind, name)) {
            Command::new("docker").args([kind, "rm", name]).output().ok();
        }
    }
}

#[tokio::test]
async fn what_a_destroyed_tenant_left_is_reported_and_removed_after_its_grace_but_no_volume_and_nothing_of_others() {
    let tables = "[reconcile]\ninterval-seconds = 1\ngrace-seconds = 4";
    let server = Server::with(Options::light().and(tables)).await;
    let tenant = server.spawn_plain("mine", "static").await;
    let (former, _) = former(&server).await;
    let before = Instant::now();
    let strays = Strays::make(&server, former, None);
    for leftover in strays.reported(&server).await {
        let held = match leftover["kind"].as_str() {
            Some("Volume") => json!("configuration"),
            // The database never knew an image of this name.
            Some("Image") => json!("unproven"),
            _ => Value::Null,
        };
        assert_eq!(leftover["heldBy"], held, "{leftover}");
        assert_eq!(leftover["willBeRemoved"], held.is_null(), "{leftover}");
    }
    eventually("they are removed", SOON, || async {
        let left = strays.left();
        if left == ["Volume", "Image"] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    assert!(before.elapsed() > Duration::from_secs(4), "not before its time");
    let sweeps = eventually("the sweeps are over", SOON, || async {
        let sweeps = operations(&server, "sweep").await;
        let over = sweeps.iter().all(|sweep| sweep["state"] == "succeeded");
        if over { Ok(sweeps) } else { Err(format!("{sweeps:?}")) }
    })
    .await;
    // More looks at everything change nothing: not the volume, not those of others, not the tenant.
    eventually("the volume has been seen for long", SOON, || async {
        let leftovers = server.http.get("/api/v1/leftovers").await.json();
        let all = leftovers["leftovers"].as_array().unwrap();
        let volume = all.iter().find(|leftover| leftover["kind"] == "Volume").unwrap();
        if volume["seenSeconds"].as_u64() >= Some(8) { Ok(()) } else { Err(leftovers.to_string()) }
    })
    .await;
    assert_eq!(strays.left(), ["Volume", "Image"]);
    for (kind, name) in &strays.others {
        assert!(exists(kind, name), "another installation's {kind} is gone");
    }
    assert_eq!(operations(&server, "sweep").await.len(), sweeps.len(), "nothing more is asked for");
    assert_eq!(server.ask(&tenant, "/health").await.status, 200);
    server.destroy(&tenant).await;
    drop(strays);
}

#[tokio::test]
async fn volumes_and_an_image_that_destroyed_tenants_left_are_removed_where_the_operator_says_so() {
    let tables = "[reconcile]\ninterval-seconds = 1\ngrace-seconds = 1\norphan-volumes = \"remove\"";
    let server = Server::with(Options::light().and(tables)).await;
    let (former, image) = former(&server).await;
    let strays = Strays::make(&server, former, Some(&image));
    eventually("they are removed", SOON, || async {
        let left = strays.left();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    for (kind, name) in &strays.others {
        assert!(exists(kind, name), "another installation's {kind} is gone");
    }
    drop(strays);
}

#[tokio::test]
async fn nothing_is_removed_where_the_operator_wants_to_be_told_only() {
    let tables =
        "[reconcile]\ninterval-seconds = 1\ngrace-seconds = 1\norphans = \"report\"\norphan-volumes = \"report\"";
    let server = Server::with(Options::light().and(tables)).await;
    let (former, _) = former(&server).await;
    let strays = Strays::make(&server, former, None);
    eventually("they have been seen for longer than their grace", SOON, || async {
        let found = strays.reported(&server).await;
        assert!(found.iter().all(|leftover| leftover["willBeRemoved"] == false), "{found:?}");
        let long = found.iter().all(|leftover| leftover["seenSeconds"].as_u64() >= Some(4));
        if long { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(strays.left().len(), 4);
    assert_eq!(operations(&server, "sweep").await.len(), 0);
    drop(strays);
}

/// A container of its own that says it is a tenant's; it is removed when the test is over.
struct Extra(String);

impl Extra {
    fn make(server: &Server, name: &str, tenant: i64, runs: bool) -> Self {
        let name = format!("{}-{name}", server.block.name_prefix());
        let labels = [
            format!("convergence.instance={}", server.installation().expect("it has started")),
            format!("convergence.tenant={tenant}"),
            "convergence.organization=1".to_owned(),
        ];
        let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label.as_str()]).collect();
        let how: &[&str] = if runs { &["run", "--detach"] } else { &["create"] };
        docker(&[how, &["--name", &name], &labels[..], &[base_image().as_str(), "sleep", "600"]].concat());
        Self(name)
    }
}

impl Drop for Extra {
    fn drop(&mut self) {
        Command::new("docker").args(["rm", "--force", &self.0]).output().ok();
    }
}

#[tokio::test]
async fn what_the_database_cannot_prove_what_runs_and_what_is_too_much_waits_for_the_operator_and_goes_on_order() {
    let tables = "[reconcile]\ninterval-seconds = 1\ngrace-seconds = 0\nsweep-max = 1";
    let server = Server::with(Options::light().and(tables)).await;
    let mine = server.spawn_plain("mine", "static").await;
    let ((one, _), (other, _)) = (former(&server).await, former(&server).await);
    let strays = Strays::make(&server, 999, None);
    let runs = Extra::make(&server, "runs", one, true);
    let many = [Extra::make(&server, "many-1", other, false), Extra::make(&server, "many-2", other, false)];
    let stray = strays.names[0].2.clone();
    let wanted = [
        ("Container", stray.as_str(), "unproven"),
        ("Network", stray.as_str(), "unproven"),
        ("Volume", stray.as_str(), "configuration"),
        ("Container", runs.0.as_str(), "running"),
        ("Container", many[0].0.as_str(), "too-many"),
        ("Container", many[1].0.as_str(), "too-many"),
    ];
    // Seen several times, so that whatever would be done is done.
    eventually("each waits for its own reason", SOON, || async {
        let text = server.http.get("/api/v1/leftovers").await;
        let found = text.json()["leftovers"].as_array().cloned().unwrap_or_default();
        let is_there = |(kind, name, held): &(&str, &str, &str)| {
            found.iter().any(|leftover| {
                leftover["kind"] == *kind
                    && leftover["name"] == *name
                    && leftover["heldBy"] == *held
                    && leftover["seenSeconds"].as_u64() >= Some(3)
                    && leftover["reason"].as_str().is_some_and(|reason| reason.len() > 10)
            })
        };
        if wanted.iter().all(is_there) { Ok(()) } else { Err(text.text) }
    })
    .await;
    assert_eq!(operations(&server, "sweep").await, Vec::<Value>::new());
    let ready = server.http.get("/ready").await.expect(200);
    let check = ready["checks"].as_array().unwrap().iter().find(|check| check["name"] == "leftovers").unwrap();
    assert!(check["detail"].as_str().unwrap().contains("7 things in the engine"), "{check}");
    let doctor = server.cli(&["doctor", "--config", server.config_file().to_str().unwrap()]);
    let report = String::from_utf8(doctor.stdout).unwrap();
    assert!(report.contains("warn  leftovers: 7 things") && report.contains("has no record"), "{report}");
    let listed = String::from_utf8(server.cli(&["leftovers"]).stdout).unwrap();
    assert!(listed.contains("waits for you: 2 things would be removed at once, and `sweep-max` is 1"), "{listed}");

    // What belongs to a tenant is no leftover, also where an operator orders it removed; and then nothing of the order is carried out.
    let named = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
    let body = json!({ "leftovers": [named("Container", &runs.0), named("Container", &server.container(&mine))] });
    let refused = server.http.post("/api/v1/leftovers/remove", &body).await;
    assert_eq!(refused.violations(422), ["leftovers[1]"]);
    let body = json!({ "leftovers": [named("Planet", "x")] });
    assert_eq!(server.http.post("/api/v1/leftovers/remove", &body).await.violations(422), ["leftovers[0].kind"]);
    assert_eq!(server.cli(&["leftovers", "--remove", "nothing-of-this-name"]).status.code(), Some(1));
    assert!(exists("container", &runs.0));

    let removed = |names: &[&str]| {
        let output = server.cli(&[&["leftovers", "--remove"], names].concat());
        assert!(output.status.success(), "{output:?}");
    };
    removed(&[&runs.0, &stray]);
    assert!(!exists("container", &runs.0) && !exists("container", &stray) && !exists("network", &stray));
    assert!(exists("volume", &stray), "data goes only where it is named as such");
    removed(&[&format!("volume/{stray}")]);
    assert!(!exists("volume", &stray));
    // With one of the two gone, the other one is few enough to go by itself.
    removed(&[&many[0].0]);
    eventually("the other one is swept", SOON, || async {
        if exists("container", &many[1].0) { Err("it is there".to_owned()) } else { Ok(()) }
    })
    .await;
    assert_eq!(server.ask(&mine, "/health").await.status, 200);
    server.destroy(&mine).await;
    drop((strays, runs, many));
}
