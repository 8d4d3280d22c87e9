//! What is allowed, and what the map makes of it.
#![allow(clippy::unwrap_used)]

use super::*;

fn policy(allow: &[&str], map: &[(&str, &str)]) -> ImagePolicy {
    ImagePolicy {
        allow: allow.iter().map(|text| Pattern::parse(text)).collect(),
        map: map.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

#[test]
fn one_image_has_one_name() {
    for spelling in ["node", "node:latest", "library/node", "docker.io/library/node", "docker.io/node:latest"] {
        assert_eq!(Reference::parse(spelling).unwrap().to_string(), "node:latest", "{spelling}");
    }
    let digest = format!("ghcr.io/x/y@sha256:{}", "a".repeat(64));
    for same in ["localhost:5000/x:1", "ghcr.io/a/b:v1.2_3", "acme/app:1", digest.as_str()] {
        assert_eq!(Reference::parse(same).unwrap().to_string(), same);
    }
}

#[test]
fn what_is_no_reference_is_refused() {
    let long = "a".repeat(300);
    for bad in [
        "",
        "Node",
        "node:",
        "node:22 ",
        "node\n",
        "node:22\nADD http://127.0.0.1/ /",
        "$IMAGE",
        "${X}:1",
        "../x",
        "a//b",
        "/node",
        "node/",
        "a..b",
        "node@sha256:12",
        "node:-x",
        "-node",
        "a b",
        "nöde",
        "node@",
        "http://x/y",
        "a___b",
        &long,
    ] {
        assert!(Reference::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn official_images_are_allowed_by_default_and_nothing_else() {
    let policy = ImagePolicy::default();
    assert_eq!(policy.resolve("node:22-bookworm-slim").unwrap().reference, "node:22-bookworm-slim");
    assert_eq!(policy.resolve("docker.io/library/python:3").unwrap().reference, "python:3");
    for foreign in ["acme/node:22", "ghcr.io/library/node:22", "evil.example/node"] {
        let message = policy.resolve(foreign).unwrap_err().to_string();
        assert!(message.contains("official") && message.contains("allow-images"), "{message}");
    }
}

#[test]
fn patterns_are_anchored_and_a_repository_covers_its_tags() {
    let policy = policy(&["ghcr.io/acme/*", "corp/app", "corp/base:2*"], &[]);
    for good in ["ghcr.io/acme/x:1", "corp/app:7", "corp/app", "corp/base:22"] {
        assert!(policy.resolve(good).is_ok(), "{good}");
    }
    for bad in ["ghcr.io/acmex/x", "corp/app2", "x.io/corp/app", "corp/base:1", "node"] {
        assert!(policy.resolve(bad).is_err(), "{bad}");
    }
}

#[test]
fn exact_wins_over_prefix_and_the_longest_prefix_over_shorter_ones() {
    let policy = policy(
        &["official"],
        &[
            ("*", "mirror.example/*"),
            ("node:*", "convergence-base/node"),
            ("node:22*", "mirror.example/node22:x*"),
            ("node:20", "exact/node:20"),
        ],
    );
    let name = |asked| policy.resolve(asked).unwrap().reference;
    assert_eq!(name("node:20"), "exact/node:20");
    assert_eq!(name("library/node:20"), "exact/node:20");
    assert_eq!(name("node:22-slim"), "mirror.example/node22:x-slim");
    assert_eq!(name("node:18"), "convergence-base/node:latest");
    assert_eq!(name("python:3.12"), "mirror.example/python:3.12");
    assert!(policy.resolve("acme/x").is_err(), "mirroring everything allows nothing");
}

#[test]
fn the_map_allows_what_it_names_and_says_when_it_is_wrong() {
    let policy = policy(&[], &[("acme/x:1", "local/x:1"), ("node:1", "Not A Reference")]);
    assert_eq!(policy.resolve("acme/x:1").unwrap().reference, "local/x:1");
    assert_eq!(policy.resolve("node:1").unwrap_err().code(), "image-map");
    assert_eq!(policy.resolve("acme/x:2").unwrap_err().code(), "image-not-allowed");
}
