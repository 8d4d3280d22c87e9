//! A server that plugins are installed into and removed from again and again keeps the memory it had before.
//!
//! Each component is a small template with 12 MiB of data in a core module of its own, other bytes each time: uploaded,
//! checked, compiled, written to the database, loaded, called and removed. A module's data is part of its native code, so
//! that has 12 MiB as well, and is made in less time than 12 MiB of functions would need.
//!
//! `CONVERGENCE_PLUGIN_ROUNDS=200` makes it a day of installs.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Http, Options, Server, number};
use crate::hostile::forge::guest::Guest;
use crate::hostile::forge::{module_of_data, section};

/// How often a plugin is installed and removed: without what `memory.rs` of the server does, it has three times its memory
/// after five.
const ROUNDS: u64 = 10;
const DATA: usize = 12 << 20;
/// Percent of its memory before that the server may have in the end.
const LIMIT: u64 = 130;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_plugin_that_comes_and_goes_again_and_again_leaves_no_memory_behind() {
    let tables = "\n[docker]\nsocket = \"/nonexistent/docker.sock\"\n".to_owned();
    let server = Server::with(Options { tables, ..Options::light() }).await;
    plan(&server.http, "static").await;
    let before = resident(&server);
    let input = json!({ "tenantName": "x", "architecture": "amd64", "memoryMb": 512 }).to_string();
    let small = Guest::template().with("describe", "/examples/0/input", json!(input)).build();
    let rounds = number("CONVERGENCE_PLUGIN_ROUNDS", ROUNDS);
    for round in 1..=rounds {
        let request = server.http.request(Method::POST, "/api/v1/plugins").header("content-type", "application/wasm");
        server.http.send(request.body(with_data(&small, round))).await.expect(201);
        plan(&server.http, "forged").await;
        assert_eq!(server.http.delete("/api/v1/plugins/forged").await.status, 204);
        if round.is_power_of_two() {
            println!("{} kB, before {before} kB, after {round} times", resident(&server));
        }
    }
    let after = resident(&server);
    println!("{after} kB, before {before} kB, after {rounds} times");
    assert!(after * 100 <= before * LIMIT, "{after} kB instead of {before} kB after {rounds} installs and removals");
}

async fn plan(http: &Http, language: &str) {
    http.post("/api/v1/tenant/plan", &json!({ "name": "x", "language": language })).await.expect(200);
}

/// The component with a module that holds nothing but data, which no two rounds share.
fn with_data(component: &[u8], round: u64) -> Vec<u8> {
    let mut data = vec![0x5a; DATA];
    data[..8].copy_from_slice(&round.to_le_bytes());
    let mut bytes = component.to_vec();
    section(&mut bytes, 1, &module_of_data(&data));
    bytes
}

/// Kilobytes of memory that the server's process has in use, pages of its program included.
fn resident(server: &Server) -> u64 {
    let file = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells it");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of kilobytes")
}
