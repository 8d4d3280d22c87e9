//! `convergence operation list`, `show`, `cancel`, `retry`, and `convergence repair`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::age::ago;
use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::tenant::Tenant;
use super::watch::{Watch, Watching};

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
    Watch(Watched),
    /// Show the state of an operation and why it failed.
    Show(One),
    /// Cancel an operation. A spawn or deployment is rolled back; a repair, restart or halt stops where it is.
    Cancel(Watched),
    /// Retry an operation that is stuck, or that failed and left its tenant.
    Retry(Watched),
}

#[derive(Debug, Args)]
struct List {
    /// List the operations of this tenant only, by its name or number. A destroyed tenant is found by its number.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// List the operations in this state only: queued, running, waiting, succeeded, failed, cancelled, stuck.
    #[arg(long)]
    state: Option<String>,
    /// List at most this many operations, up to 1000.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

#[derive(Debug, Args)]
struct One {
    /// Name the operation by its id.
    #[arg(value_name = "OPERATION", value_parser = id)]
    id: String,
}

/// Ids are part of paths, and need no escaping there.
fn id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if fits { Ok(text.to_owned()) } else { Err("an id consists of letters, digits and `-`".to_owned()) }
}

#[derive(Debug, Args)]
struct Watched {
    #[command(flatten)]
    operation: One,
    #[command(flatten)]
    watching: Watching,
}

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    watching: Watching,
}

/// Looks at operations, or changes one.
pub(crate) async fn run(client: &Client, arguments: Arguments, output: &Output) -> Result<(), Failure> {
    match arguments.command {
        Command::List(list) => all(client, &list, output).await,
        Command::Watch(watched) => {
            let watch = Watch::new(client, *output, &watched.watching, "operation");
            watch.unless_interrupted(watch.follow(&path(&watched.operation.id, ""))).await
        }
        Command::Show(one) => shown(client, Method::GET, &path(&one.id, ""), output).await,
        Command::Cancel(watched) => followed(client, &watched, "cancel", "cancelled", output).await,
        Command::Retry(watched) => followed(client, &watched, "retry", "succeeded", output).await,
    }
}

/// Repairs a tenant so that it matches its current revision, and follows that.
pub(crate) async fn repair(client: &Client, arguments: &Repair, output: &Output) -> Result<(), Failure> {
    let path = arguments.tenant.path("/repair");
    let watch = Watch::new(client, *output, &arguments.watching, "repair");
    let repair = async {
        let (_, accepted) = client.json(client.request(Method::POST, &path)).await?;
        let id = accepted.pointer("/operation/id").and_then(Value::as_str).unwrap_or_default();
        watch.follow(&self::path(id, "")).await
    };
    watch.unless_interrupted(repair).await?;
    let text = || format!("tenant {} matches its current revision", arguments.tenant.as_str());
    output.result(&json!({ "success": true }), text);
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
        let operations = page.get("operations").and_then(Value::as_array);
        let rows: Vec<Vec<String>> = operations.into_iter().flatten().map(row).collect();
        if rows.is_empty() {
            return "no operations".to_owned();
        }
        let mut text = table(&["ID", "KIND", "SUBJECT", "CREATED", "STATE"], &rows);
        if page.get("nextCursor").is_some_and(Value::is_string) {
            text.push_str(&format!("\nthere are more than these {}; --limit shows up to 1000", rows.len()));
        }
        text
    });
    Ok(())
}

fn row(operation: &Value) -> Vec<String> {
    let part = |key: &str| operation.get(key).map(plain).unwrap_or_default();
    let mut state = part("state");
    if part("direction") == "back" && ["queued", "running", "waiting"].contains(&state.as_str()) {
        state.push_str(", rolling back");
    }
    match operation.get("retries").and_then(Value::as_u64) {
        None | Some(0) => {}
        Some(1) => state.push_str(", 1 retry"),
        Some(many) => state.push_str(&format!(", {many} retries")),
    }
    vec![part("id"), part("kind"), part("subject"), ago(operation, "createdAt"), state]
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
async fn followed(
    client: &Client,
    asked: &Watched,
    verb: &'static str,
    wanted: &str,
    output: &Output,
) -> Result<(), Failure> {
    let id = &asked.operation.id;
    let watch = Watch::new(client, *output, &asked.watching, verb);
    let work = async {
        client.json(client.request(Method::POST, &path(id, &format!("/{verb}")))).await?;
        // A failure of the operation is not one of the request: a spawn that is cancelled as wanted has failed.
        Ok::<_, Failure>(watch.follow(&path(id, "")).await)
    };
    let watched = watch.unless_interrupted(work).await?;
    if let Err(Failure::Interrupted(..) | Failure::Pending(..) | Failure::Unreachable(_)) = watched {
        return watched;
    }
    let (_, operation) = client.json(client.request(Method::GET, &path(id, ""))).await?;
    let state = operation.get("state").and_then(Value::as_str).unwrap_or_default().to_owned();
    if state != wanted {
        watched?;
        return Err(Failure::Failed(format!("operation {id} ended {state}, not {wanted}")));
    }
    output.result(&operation, || format!("operation {id} {state}"));
    Ok(())
}
