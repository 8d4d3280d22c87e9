//! What a fingerprint depends on.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use convergence_model::Secret;
use convergence_model::plan::Probe;
use convergence_model::workload::Subnet;

use super::*;

fn workload() -> Workload {
    let labels = [(label::INSTANCE, "here"), (label::TENANT, "7")];
    Workload {
        name: "t-7".to_owned(),
        image: "t/1:abc".to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        command: vec!["serve".to_owned()],
        env: BTreeMap::from([
            ("PORT".to_owned(), EnvValue::Literal("8000".to_owned())),
            ("KEY".to_owned(), EnvValue::Secret(Secret::new("sk"))),
        ]),
        container_port: 8000,
        published: Some(Published { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 3001 }),
        boundary: Boundary { name: "t-7".to_owned(), addresses: Some(Subnet::containing(Ipv4Addr::new(10, 9, 0, 0))) },
        volumes: vec![Mount { volume: "t-7-data".to_owned(), path: "/data".to_owned() }],
        tmpfs: vec![Tmpfs { path: "/tmp".to_owned(), size_mb: 64, executable: false }],
        limits: Limits::DEFAULT,
        health: Health {
            probe: Probe::Tcp,
            in_container: Some(vec!["true".to_owned()]),
            interval_seconds: 30,
            timeout_seconds: 5,
            retries: 3,
            start_period_seconds: 1,
        },
        stop_signal: "SIGTERM".to_owned(),
        stop_grace_seconds: 10,
        host_aliases: vec!["host".to_owned()],
        log_rotation: LogRotation::DEFAULT,
    }
}

/// Another value here means that an upgrade of the server replaces every container there is.
#[test]
fn is_what_it_was_before_the_port_became_optional() {
    assert_eq!(fingerprint(&workload()), "2d5a4aa546571e207a66866d8831d61a692f0d8e2e2116be73e2f905686ea4b7");
}

#[test]
fn changes_with_what_may_be_absent() {
    let whole = fingerprint(&workload());
    let unpublished = Workload { published: None, ..workload() };
    let mut anywhere = workload();
    anywhere.boundary.addresses = None;
    assert_ne!(fingerprint(&unpublished), whole);
    assert_ne!(fingerprint(&anywhere), whole);
}

#[test]
fn other_limits_are_recognized_and_nothing_else() {
    let made = workload();
    let labels = BTreeMap::from([
        (label::SPEC.to_owned(), fingerprint(&made)),
        (label::LIMITS.to_owned(), limits_label(made.limits)),
    ]);
    fn is_made_from(labels: &BTreeMap<String, String>, workload: &Workload) -> bool {
        super::is_made_from(|key| labels.get(key), workload)
    }
    let resized = Workload { limits: Limits { cpu_millis: 1, memory_mb: 2, pids: 3, ..made.limits }, ..made.clone() };
    assert!(is_made_from(&labels, &made) && is_made_from(&labels, &resized));
    let other = Workload { image: "t/1:def".to_owned(), ..resized.clone() };
    assert!(!is_made_from(&labels, &other));
    // A label that somebody wrote by hand is not believed.
    for text in ["1 2 3", "", "1 2", "x y z"] {
        let forged = BTreeMap::from([(label::LIMITS.to_owned(), text.to_owned()), labels_of(&labels)]);
        assert!(!is_made_from(&forged, &Workload { image: "t/1:def".to_owned(), ..made.clone() }), "{text}");
    }
    // One of an older server has no such label, and is what it is only with the limits it was made with.
    let old = BTreeMap::from([labels_of(&labels)]);
    assert!(is_made_from(&old, &made) && !is_made_from(&old, &resized));
}

fn labels_of(labels: &BTreeMap<String, String>) -> (String, String) {
    (label::SPEC.to_owned(), labels.get(label::SPEC).unwrap().clone())
}
