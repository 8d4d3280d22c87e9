//! `convergence keys list|rotate|retire`

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::age::ago;
use super::client::Client;
use super::exit::Failure;
use super::output::{Output, table};
use super::spawn::plain;
use super::watch::{Watch, Watching};

/// What to do with the key ring.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the keys that secrets are sealed with.
    List,
    /// Add a key to the ring, and seal all secrets anew with it. Nothing stops meanwhile.
    Rotate(Rotate),
    /// Retire a key that no secret is sealed with any more.
    Retire(Retire),
}

#[derive(Debug, Args)]
struct Rotate {
    #[command(flatten)]
    watching: Watching,
}

#[derive(Debug, Args)]
struct Retire {
    /// Retire the key with this id.
    #[arg(value_name = "ID", value_parser = id)]
    id: String,
}

/// Shows or changes the key ring.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::List => list(client, output).await,
        Command::Rotate(Rotate { watching }) => {
            let watch = Watch::new(client, *output, watching, "rotation");
            let request = client.request(Method::POST, "/api/v1/keys/rotate");
            watch.unless_interrupted(watch.begin(request, false)).await?;
            output.result(&json!({ "success": true }), || {
                "all secrets are sealed with a new key; copy the file `keyring` to your backup".to_owned()
            });
            Ok(())
        }
        Command::Retire(Retire { id }) => {
            client.send(client.request(Method::DELETE, &format!("/api/v1/keys/{id}"))).await?;
            output.result(&json!({ "success": true }), || {
                format!(
                    "key {id} is retired: its line may be removed from the key ring, unless an older backup needs it"
                )
            });
            Ok(())
        }
    }
}

async fn list(client: &Client, output: &Output) -> Result<(), Failure> {
    let (_, found) = client.json(client.request(Method::GET, "/api/v1/keys")).await?;
    output.result(&found, || {
        let keys = found.get("keys").and_then(Value::as_array).into_iter().flatten();
        let row = |key: &Value| {
            let part = |field: &str| key.get(field).map(plain).unwrap_or_default();
            vec![part("id"), part("state"), part("values"), ago(key, "createdAt")]
        };
        table(&["KEY", "STATE", "VALUES", "SINCE"], &keys.map(row).collect::<Vec<_>>())
    });
    Ok(())
}

fn id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_id { Ok(text.to_owned()) } else { Err("a key's id has 8 hexadecimal digits".to_owned()) }
}
