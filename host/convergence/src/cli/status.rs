//! `convergence status`

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::age::ago;
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
        text.push_str(&condition(&status));
        if let Some(failure) = status.get("failure") {
            text.push_str(&reason(failure));
        }
        text
    });
    Ok(())
}

/// What the engine knows beyond the table: a health check that fails, restarts, the last end. Empty where there is nothing to
/// tell.
fn condition(status: &Value) -> String {
    let mut text = String::new();
    if let Some(health) = status.get("health").and_then(Value::as_str).filter(|health| *health != "healthy") {
        text.push_str(&format!("\nhealth: {health}"));
    }
    if let Some(restarts) = status.get("restarts").and_then(Value::as_u64).filter(|restarts| *restarts > 0) {
        text.push_str(&format!("\nrestarts: {restarts}"));
    }
    if let Some(end) = status.get("lastEnd") {
        let code = end.get("exitCode").map(|code| format!(" with exit code {code}")).unwrap_or_default();
        let memory = if end.get("outOfMemory") == Some(&Value::Bool(true)) { ", killed for its memory" } else { "" };
        let at = end.get("at").map(|_| format!(", {}", ago(end, "at"))).unwrap_or_default();
        text.push_str(&format!("\nlast end: the app ended{code}{memory}{at}"));
    }
    text
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
