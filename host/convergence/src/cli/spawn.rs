//! `convergence spawn`

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::spec::SpecArguments;
use super::watch::{Watch, Watching};

/// What the tenant should be, and how long to wait for it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
    /// Stop waiting after this many seconds (the operation continues).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=604_800))]
    wait: Option<u64>,
    /// Return as soon as the server has accepted the spawn.
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
    #[command(flatten)]
    watching: Watching,
}

/// Builds and runs a new tenant.
pub(crate) async fn run(client: &Client, arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let (body, query) = (arguments.spec.body()?, arguments.spec.query());
    let watch = Watch::new(client, *output, &arguments.watching, "spawn");
    if arguments.detach {
        let request =
            client.request(Method::POST, "/api/v1/tenant/spawn").query(&query).header("prefer", "respond-async");
        let (_, answer) = watch.unless_interrupted(client.json_once(request.json(&body))).await?;
        output.result(&answer, || {
            let tenant = accepted(answer.get("tenant").unwrap_or(&Value::Null));
            let id = answer.pointer("/operation/id").map(plain).unwrap_or_default();
            format!("{tenant}\nwatch: convergence operation watch {id}")
        });
        return Ok(());
    }
    let watch = watch.for_at_most(arguments.wait.map(Duration::from_secs));
    let tenant = watch.unless_interrupted(watch.spawn(&body, &query, |_| ())).await?;
    let document = json!({ "success": true, "tenant": tenant });
    output.result(&document, || {
        let part = |key: &str| tenant.get(key).map(plain).unwrap_or_default();
        format!(
            "tenant {} `{}` runs at http://127.0.0.1:{}\n{}",
            part("envId"),
            part("name"),
            part("port"),
            key(&tenant)
        )
    });
    Ok(())
}

/// A tenant that is not there yet. Its key is printed once: here, where nothing more is said about it later.
pub(crate) fn accepted(tenant: &Value) -> String {
    let part = |key: &str| tenant.get(key).map(plain).unwrap_or_default();
    format!("tenant {} `{}` is accepted\n{}", part("envId"), part("name"), key(tenant))
}

fn key(tenant: &Value) -> String {
    format!("API key (shown only once): {}", tenant.get("apiKey").map(plain).unwrap_or_default())
}

/// A scalar without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
