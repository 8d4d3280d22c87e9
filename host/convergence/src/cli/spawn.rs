//! `convergence spawn`

use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::spec::SpecArguments;
use super::watch;

/// What the tenant should be, and how long to wait for it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    spec: SpecArguments,
    /// Give up watching after so many seconds; the server goes on.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Return as soon as the server has accepted it.
    #[arg(long, conflicts_with = "wait")]
    detach: bool,
}

/// Builds and runs a new tenant.
pub(crate) async fn run(client: &Client, arguments: Arguments, output: &Output) -> Result<(), Failure> {
    let (body, query) = (arguments.spec.body(), arguments.spec.query());
    if arguments.detach {
        let request =
            client.request(Method::POST, "/api/v1/tenant/spawn").query(&query).header("prefer", "respond-async");
        let (_, accepted) = client.json_once(request.json(&body)).await?;
        output.result(&accepted, || {
            let url = accepted.pointer("/operation/url").and_then(Value::as_str).unwrap_or_default();
            let part = |key: &str| accepted.pointer(&format!("/tenant/{key}")).map(plain).unwrap_or_default();
            let (id, key) = (part("envId"), part("apiKey"));
            format!("tenant {id} is accepted; it goes on at {url}\nAPI key, shown only now: {key}")
        });
        return Ok(());
    }
    let tenant = watch::spawn(client, &body, &query, arguments.wait.map(Duration::from_secs), *output).await?;
    let document = json!({ "success": true, "tenant": tenant });
    output.result(&document, || {
        let part = |key: &str| tenant.get(key).map(plain).unwrap_or_default();
        format!(
            "tenant {} `{}` runs at http://127.0.0.1:{}\nAPI key, shown only now: {}",
            part("envId"),
            part("name"),
            part("port"),
            part("apiKey")
        )
    });
    Ok(())
}

/// A scalar without its quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
