//! `convergence status`

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::tenant::Tenant;

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
}

/// Shows how a tenant is.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path("/status");
    let (_, status) = client.json(client.request(Method::GET, &path)).await?;
    output.result(&status, || {
        let part = |key: &str| status.get(key).map(plain).unwrap_or_default();
        let uptime = match status.get("uptime").and_then(Value::as_u64) {
            Some(seconds) => format!("{}h {}m {}s", seconds / 3600, seconds / 60 % 60, seconds % 60),
            None => "-".to_owned(),
        };
        let row = vec![
            part("envId"),
            part("name"),
            part("status"),
            part("port"),
            uptime,
            part("cpuUsage"),
            part("memoryUsage"),
            part("containerName"),
        ];
        let mut text = table(&["ID", "NAME", "STATUS", "PORT", "UPTIME", "CPU", "MEMORY", "CONTAINER"], &[row]);
        if let Some(failure) = status.get("failure") {
            text.push_str(&reason(failure));
        }
        text
    });
    Ok(())
}

/// Why a tenant failed or was halted, and what to do.
fn reason(failure: &Value) -> String {
    let part = |key: &str| failure.get(key).map(plain).unwrap_or_default();
    let mut text = format!("\nfailed: {} ({})", part("message"), part("code"));
    for line in failure.get("log").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("\n  | {}", plain(line)));
    }
    text.push_str(&format!("\nlikely cause: {}\nnext: {}", part("likelyCause"), part("next")));
    text
}
