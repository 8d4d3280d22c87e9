//! `convergence scale`

use clap::Args;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::spawn::plain;
use super::spec::cores;
use super::tenant::Tenant;
use super::watch::{Watch, Watching};

/// Which tenant, and what is to be different.
#[derive(Debug, Args)]
#[group(id = "limits", required = true, multiple = true, args = ["cpu", "memory_mb", "disk_mb"])]
pub(crate) struct Arguments {
    #[command(flatten)]
    tenant: Tenant,
    /// Limit the processor to this many cores, for example 0.5 [default: as it is].
    #[arg(long, value_name = "CORES", value_parser = cores)]
    cpu: Option<f64>,
    /// Limit the memory, in MiB [default: as it is].
    #[arg(long, value_name = "MIB")]
    memory_mb: Option<u32>,
    /// Limit the disk, in MiB [default: as it is].
    #[arg(long, value_name = "MIB")]
    disk_mb: Option<u32>,
    /// Record a reason in the history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    watching: Watching,
}

/// Changes the limits of a tenant.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let mut limits = Map::new();
    let given = [
        ("cpu", arguments.cpu.map(|cpu| json!(cpu))),
        ("memoryMb", arguments.memory_mb.map(|mb| json!(mb))),
        ("diskMb", arguments.disk_mb.map(|mb| json!(mb))),
    ];
    limits.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let mut body = json!({ "limits": limits });
    if let (Some(reason), Some(body)) = (&arguments.reason, body.as_object_mut()) {
        body.insert("reason".to_owned(), json!(reason));
    }
    let request = client.request(Method::POST, &arguments.tenant.path("/scale")).json(&body);
    let watch = Watch::new(client, *output, &arguments.watching, "change of limits");
    let answer = watch.unless_interrupted(watch.begin(request, false)).await?;
    output.result(&answer, || told(arguments.tenant.as_str(), &answer));
    Ok(())
}

fn told(tenant: &str, answer: &Value) -> String {
    let kind = answer.pointer("/operation/kind").and_then(Value::as_str);
    match (answer.pointer("/deployment/revision").map(plain), kind) {
        (Some(revision), Some("scale")) => {
            format!("tenant {tenant} went on running, with the limits of revision {revision}")
        }
        (Some(revision), _) => format!("tenant {tenant} runs revision {revision} with the new limits"),
        (None, _) => format!("the limits of tenant {tenant} are so already, or wait for its next deployment"),
    }
}
