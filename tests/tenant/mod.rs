//! Tenants on real containers.

mod docker_applications;
mod docker_compose;
mod docker_containers;
mod docker_database;
mod docker_deploy;
mod docker_doubt;
mod docker_engine;
mod docker_failures;
mod docker_keys;
mod docker_languages;
mod docker_leftovers;
mod docker_limits;
mod docker_literal;
mod docker_operations;
mod docker_ownership;
mod docker_proxy;
mod docker_reconcile;
mod docker_registries;
mod docker_restart;
mod docker_scale;
mod docker_secrets;
mod docker_shutdown;
mod docker_streams;
mod docker_tour;
mod docker_two_servers;
mod docker_verbs;
mod docker_volumes;

use serde_json::{Map, Value, json};

/// Each is an attack somewhere: a shell, a Dockerfile, Compose, YAML, a glob, a template.
pub(crate) const NASTY: &[&str] = &[
    "$HOME",
    "${HOME}",
    "$$",
    "${CONVERGENCE_API_KEY}",
    "$(id)",
    "`id`",
    "\"quoted\" 'twice'",
    "a\nADD http://127.0.0.1/ /",
    "key: [yaml, {a: 1}] # comment",
    "*.js ?[a-z]",
    "yes",
    "1e3",
    "~",
    "\\n \\",
    "{{ .Env }} %s",
    "  spaces  ",
    "",
    "ünïcödé 🦀",
];

/// Them as variables `NASTY_0`, `NASTY_1`, ….
pub(crate) fn nasty_env() -> Map<String, Value> {
    NASTY.iter().enumerate().map(|(index, value)| (format!("NASTY_{index}"), json!(value))).collect()
}
