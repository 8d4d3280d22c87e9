//! `convergence plugin show`

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::Named;
use crate::cli::age::ago;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, table};
use crate::cli::spawn::plain;

/// Which plugin.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    plugin: Named,
}

/// Shows everything about a plugin.
pub(super) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let (_, plugin) = client.json(client.request(Method::GET, &arguments.plugin.path(""))).await?;
    output.result(&plugin, || text(&plugin));
    Ok(())
}

/// The plugin, human-readable; also what is shown after a decision about it.
pub(super) fn text(plugin: &Value) -> String {
    let shown = [
        "id",
        "kind",
        "name",
        "summary",
        "state",
        "reason",
        "version",
        "breaker",
        "languages",
        "organizations",
        "imports",
    ];
    let mut lines: Vec<String> = shown
        .into_iter()
        .filter_map(|key| {
            let value = plugin.get(key).filter(|value| !value.is_null() && **value != Value::Array(Vec::new()))?;
            let value = match value {
                Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
                other => plain(other),
            };
            Some(format!("{key:14}{value}"))
        })
        .collect();
    if let Some(configuration) = plugin.get("configuration").filter(|value| !value.is_null()) {
        lines.push(format!("{:14}{configuration}", "configuration"));
    }
    let versions = plugin.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let row = |version: &Value| {
        let active = version.get("active") == Some(&Value::Bool(true));
        let signed = version.get("signed") == Some(&Value::Bool(true));
        let cell = |key: &str| version.get(key).map(plain).unwrap_or_default();
        let from = [cell("source"), cell("origin")].into_iter().filter(|part| !part.is_empty() && part != "null");
        vec![
            if active { "*" } else { "" }.to_owned(),
            cell("version"),
            cell("digest").chars().take(19).collect(),
            if signed { "yes" } else { "no" }.to_owned(),
            ago(version, "installedAt"),
            from.collect::<Vec<_>>().join(" "),
        ]
    };
    let rows: Vec<Vec<String>> = versions.iter().map(row).collect();
    lines.push(table(&["", "VERSION", "DIGEST", "SIGNED", "INSTALLED", "FROM"], &rows));
    lines.join("\n")
}
