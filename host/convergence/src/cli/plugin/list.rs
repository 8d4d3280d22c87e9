//! `convergence plugin list`

use reqwest::Method;
use serde_json::Value;

use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};

/// Lists installed plugins, and files of the plugins folder that were rejected.
pub(super) async fn run(client: &Client, output: &Output) -> Result<(), Failure> {
    let (_, document) = client.json(client.request(Method::GET, "/api/v1/plugins")).await?;
    output.result(&document, || text(&document));
    Ok(())
}

fn text(document: &Value) -> String {
    let list = |key: &str| document.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let cell = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    let row = |plugin: &Value| ["id", "kind", "version", "state", "summary"].map(|key| cell(plugin, key)).to_vec();
    let rows: Vec<Vec<String>> = list("plugins").iter().map(row).collect();
    let mut text = if rows.is_empty() {
        "no plugins; `convergence plugin install FILE` installs one".to_owned()
    } else {
        table(&["ID", "KIND", "VERSION", "STATE", "SUMMARY"], &rows)
    };
    for plugin in list("plugins").iter().filter(|plugin| plugin.get("reason").is_some_and(Value::is_string)) {
        text.push_str(&format!("\n{} is faulty: {}", cell(plugin, "id"), cell(plugin, "reason")));
    }
    for file in list("files").iter().filter(|file| file.get("state").is_some_and(|state| state == "rejected")) {
        text.push_str(&format!("\nrejected: {}: {}", cell(file, "file"), cell(file, "reason")));
    }
    text
}
