//! `convergence operation list`, `show`, `cancel`, `retry`, and `convergence repair`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::tenant::Tenant;
use super::watch;

/// Inspect, cancel and retry operations.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List operations, the newest first.
    List(List),
    /// Follow an operation from its first event to its end.
    Watch(One),
    /// Show how far an operation is and why it failed.
    Show(One),
    /// Cancel an operation. A spawn is rolled back; a repair or halt stops where it is.
    Cancel(One),
    /// Retry an operation that is stuck, or that failed and left its tenant.
    Retry(One),
}

#[derive(Debug, Args)]
struct List {
    /// List only the operations of this tenant: its name or number. One that is gone is found by its number.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only those in this state: queued, running, waiting, succeeded, failed, cancelled, stuck.
    #[arg(long)]
    state: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

#[derive(Debug, Args)]
struct One {
    /// The operation's id.
    id: String,
}

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    tenant: Tenant,
}

/// Looks at operations, or changes one.
pub(crate) async fn run(client: &Client, arguments: Arguments, output: &Output) -> Result<(), Failure> {
    match arguments.command {
        Command::List(list) => all(client, &list, output).await,
        Command::Watch(one) => watch::follow(client, &path(&one.id, ""), None, *output).await,
        Command::Show(one) => shown(client, Method::GET, &path(&one.id, ""), output).await,
        Command::Cancel(one) => followed(client, &path(&one.id, "/cancel"), &one.id, "cancelled", output).await,
        Command::Retry(one) => followed(client, &path(&one.id, "/retry"), &one.id, "succeeded", output).await,
    }
}

/// Brings a tenant back to what its revision says, and follows that.
pub(crate) async fn repair(client: &Client, arguments: &Repair, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path("/repair");
    let (_, accepted) = client.json(client.request(Method::POST, &path)).await?;
    let id = accepted.pointer("/operation/id").and_then(Value::as_str).unwrap_or_default();
    watch::follow(client, &self::path(id, ""), None, *output).await?;
    output.result(&json!({ "success": true }), || format!("tenant {} is as it should be", arguments.tenant.as_str()));
    Ok(())
}

fn path(id: &str, verb: &str) -> String {
    format!("/api/v1/operations/{id}{verb}")
}

async fn all(client: &Client, list: &List, output: &Output) -> Result<(), Failure> {
    let mut query: Vec<(&str, String)> = vec![("limit", list.limit.to_string())];
    query.extend(list.tenant.clone().map(|tenant| ("tenant", tenant)));
    query.extend(list.state.clone().map(|state| ("state", state)));
    let (_, page) = client.json(client.request(Method::GET, "/api/v1/operations").query(&query)).await?;
    output.result(&page, || {
        let keys = ["id", "kind", "subject", "state", "direction", "retries", "createdAt"];
        let row =
            |operation: &Value| keys.iter().map(|key| operation.get(*key).map(plain).unwrap_or_default()).collect();
        let operations = page.get("operations").and_then(Value::as_array);
        let rows: Vec<Vec<String>> = operations.into_iter().flatten().map(row).collect();
        table(&["ID", "KIND", "SUBJECT", "STATE", "DIRECTION", "RETRIES", "CREATED"], &rows)
    });
    Ok(())
}

async fn shown(client: &Client, method: Method, path: &str, output: &Output) -> Result<(), Failure> {
    let (_, operation) = client.json(client.request(method, path)).await?;
    output.result(&operation, || {
        let part = |key: &str| operation.pointer(key).map(plain).unwrap_or_default();
        let mut text = format!("{} of {}: {}", part("/kind"), part("/subject"), part("/state"));
        for (key, name) in [("/reason", "because"), ("/failure/message", "failed"), ("/failure/next", "next")] {
            if operation.pointer(key).is_some_and(Value::is_string) {
                text.push_str(&format!("\n{name}: {}", part(key)));
            }
        }
        text
    });
    Ok(())
}

/// Asks for a change and follows the operation to its end, which is a failure if it is not the one `wanted`.
async fn followed(client: &Client, path: &str, id: &str, wanted: &str, output: &Output) -> Result<(), Failure> {
    client.json(client.request(Method::POST, path)).await?;
    let watched = watch::follow(client, &self::path(id, ""), None, *output).await;
    let (_, operation) = client.json(client.request(Method::GET, &self::path(id, ""))).await?;
    let state = operation.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
    if state != wanted {
        watched?;
        return Err(Failure::Failed(format!("it ended otherwise: {state}")));
    }
    output.result(&operation, || format!("operation {id} {state}"));
    Ok(())
}
