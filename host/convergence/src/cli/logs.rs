//! `convergence logs`

use clap::Args;
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::tenant::Tenant;

/// Which tenant, and which of its lines.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// How many of the last lines.
    #[arg(long, short = 'n', default_value_t = 200, value_name = "LINES")]
    tail: u32,
    /// Go on with lines as they come.
    #[arg(long, short)]
    follow: bool,
}

/// Prints what a tenant printed.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path(&format!("/logs?tail={}", arguments.tail));
    if !arguments.follow {
        let (_, document) = client.json(client.request(Method::GET, &path)).await?;
        if output.is_json() {
            output.result(&document, String::new);
            return Ok(());
        }
        let lines = document.get("logs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(Value::as_str).for_each(|line| output.line(line));
        return Ok(());
    }
    let response = client.send(client.request(Method::GET, &format!("{path}&follow=true"))).await?;
    let mut stream = response.bytes_stream();
    let mut partial = Vec::new();
    while let Some(chunk) = stream.next().await {
        partial.extend_from_slice(&chunk.map_err(|error| client.unreachable(&error))?);
        while let Some(end) = partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = partial.drain(..=end).collect();
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
            if output.is_json() {
                output.line(&serde_json::json!({ "line": text }).to_string());
            } else {
                output.line(&text);
            }
        }
    }
    Ok(())
}
