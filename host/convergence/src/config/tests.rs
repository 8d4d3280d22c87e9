//! What a configuration may say.
#![allow(clippy::unwrap_used)]
use super::*;

fn parse(text: &str) -> Result<Config> {
    let config: Config = toml::from_str(text)?;
    config.check()?;
    Ok(config)
}

#[test]
fn an_empty_file_is_enough() {
    let config = parse("").unwrap();
    assert_eq!(config.tenants.ports, 3001..=3999);
    assert_eq!(config.plugins_dir(), PathBuf::from("data/plugins"));
    assert_eq!(config.api_url(), "http://host.docker.internal:3000/api/v1");
}

#[test]
fn values_that_make_no_sense_are_refused_with_the_key() {
    for (text, word) in [
        ("listen = \"0.0.0.0:3000\"", "loopback"),
        ("colour = 1", "colour"),
        ("[tenants]\nports = \"4000-3000\"", "3001-3999"),
        ("[tenants]\nports = \"80-90\"", "1024"),
        ("[tenants]\nports = \"2990-3100\"", "own port"),
        ("[tenants]\nsubnets = \"10.201.0.1/16\"", "10.201.0.0/16"),
        ("[tenants]\nsubnets = \"8.8.0.0/16\"", "private"),
        ("[tenants]\nsubnets = \"172.0.0.0/8\"", "private"),
        ("[tenants]\napi-url = \"here\"", "api-url"),
        ("[tenants.default-limits]\nmemory-mb = 0", "memory-mb"),
        ("[tenants.default-limits]\ndisk-mb = 0", "disk-mb"),
        ("[docker]\nsocket = \"ssh://root@engine\"", "ssh://root@engine"),
        ("[docker]\nsocket = \"\"", "socket"),
        ("[docker]\nsocket = \"unix://\"", "socket"),
        ("[images]\n\"node:22\" = \"not an image\"", "not an image"),
        ("[images]\n\"node:22\" = \"mirror.example/*\"", "[images]"),
        ("[images]\n\"Node:22\" = \"node:22\"", "the key"),
        ("[images]\n\"node:22\" = \"\"", "the value"),
        ("data-dir = \"\"", "data-dir"),
        ("database = \"\"", "database"),
        ("listen = \"localhost\"", "localhost:3000"),
        ("listen = \"example.com:3000\"", "localhost:3000"),
        ("[reconcile]\ngrace-seconds = 9223372036854775807", "grace-seconds"),
        ("[docker]\nname-prefix = \"A b\"", "name-prefix"),
        ("[trust]\nrequire-signatures = true", "at least one key"),
        ("[trust]\nkeys = { release = \"rsa:AAAA\" }", "`release`"),
        ("[operations]\nlease-seconds = 0", "from 3"),
        ("[operations]\ndrain-seconds = 300", "drain-seconds"),
        ("[reconcile]\nsweep-max = 1000001", "sweep-max"),
        ("[tenants.default-limits]\ncpu-millis = 9", "from 10"),
        ("[tenants.default-limits]\nmemory-mb = 5", "from 6"),
        ("[tenants.default-limits]\npids = 0", "pids"),
        // Sums with it would overflow.
        ("wait-seconds = 9223372036854775807", "wait-seconds"),
        ("[docker]\ntimeout-seconds = 0", "timeout-seconds"),
        ("[trust]\nrequire-signature = true", "require-signature"),
    ] {
        let error = format!("{:#}", parse(text).unwrap_err());
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn values_that_people_write_are_understood() {
    assert_eq!(parse("listen = \"localhost:3000\"").unwrap().listen.to_string(), "127.0.0.1:3000");
    for good in [
        "listen = \"[::1]:3000\"",
        "[docker]\nsocket = \"docker.sock\"",
        "[docker]\nsocket = \"unix:///run/docker.sock\"",
        "[docker]\nsocket = \"tcp://10.0.0.7:2375\"",
        "[tenants]\nsubnets = \"100.64.0.0/10\"",
        "[tenants]\nsubnets = \"172.31.0.0/16\"",
        "[images]\n\"*\" = \"mirror.example/library/*\"\n\"python:*\" = \"registry.example/py:3\"\n\"node:22\" = \"a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
        "[images]\n\"python:3.*\" = \"registry.example/base/python:3.*\"\n\"ghcr.io/*\" = \"ghcr.mirror.example/*\"",
    ] {
        parse(good).unwrap_or_else(|error| panic!("{good}: {error:#}"));
    }
}

#[test]
fn a_pool_is_cut_into_small_networks() {
    let config = parse("[tenants]\nsubnets = \"10.9.0.0/24\"").unwrap();
    assert_eq!((config.tenants.subnets.first, config.tenants.subnets.count), (Ipv4Addr::new(10, 9, 0, 0), 16));
}

#[test]
fn certificates_for_git_are_found_from_every_folder_or_the_key_is_told() {
    let of = |file: &str| parse(&format!("[sources]\ngit-ca-file = {file:?}")).unwrap().sources.git();
    // Tests run in the folder of their package.
    assert!(of("Cargo.toml").unwrap().ca_bundle.unwrap().is_absolute());
    for unreadable in ["no-such.pem", "src"] {
        let error = of(unreadable).unwrap_err().to_string();
        assert!(error.contains("git-ca-file") && error.contains(unreadable), "{error}");
    }
}

#[test]
fn bounds_of_builds_need_an_engine_whose_builds_can_be_bounded() {
    let bounded = parse("[build]\npids = 100").unwrap().build;
    for (socket, driver, told) in [
        (None, Some("cgroupfs"), None),
        // It is asked again before each build.
        (None, None, None),
        (None, Some("systemd"), Some("native.cgroupdriver=cgroupfs")),
        (Some("tcp://127.0.0.1:2375"), Some("cgroupfs"), Some("reached by TCP")),
    ] {
        let reason = bounded.futile_bounds(socket, driver);
        let is_told = reason.as_ref().map(|reason| told.is_some_and(|told| reason.contains(told)));
        assert_eq!(is_told, told.map(|_| true), "{reason:?}");
    }
    assert_eq!(parse("").unwrap().build.futile_bounds(None, Some("systemd")), None);
}
