//! `convergence destroy`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::tenant::Tenant;
use super::watch;

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
}

/// Removes a tenant and everything it has.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path("");
    let (_, accepted) = client.json(client.request(Method::DELETE, &path).header("prefer", "respond-async")).await?;
    if let Some(url) = accepted.pointer("/operation/url").and_then(Value::as_str) {
        watch::follow(client, url, None, *output).await?;
    }
    let document = json!({ "success": true, "result": "Environment removed successfully" });
    output.result(&document, || format!("tenant {} is gone", arguments.tenant.as_str()));
    Ok(())
}
