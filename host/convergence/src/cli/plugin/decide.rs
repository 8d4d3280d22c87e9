//! `convergence plugin enable`, `disable`, `configure`, `bind`, `rollback`, `remove`: an administrator's decisions.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Named, show};
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// Which plugin.
#[derive(Debug, Args)]
pub(crate) struct Plain {
    #[command(flatten)]
    plugin: Named,
}

impl Plain {
    pub(super) fn plugin(&self) -> &Named {
        &self.plugin
    }
}

/// What the plugin is told.
#[derive(Debug, Args)]
pub(crate) struct Configure {
    #[command(flatten)]
    plugin: Named,
    /// Its configuration: a JSON object.
    #[arg(value_name = "JSON", required_unless_present_any = ["file", "reset"], conflicts_with_all = ["file", "reset"])]
    configuration: Option<String>,
    /// A file that holds it.
    #[arg(long, value_name = "FILE", conflicts_with = "reset")]
    file: Option<PathBuf>,
    /// Go back to what the server's configuration file says.
    #[arg(long)]
    reset: bool,
}

/// Whom a policy applies to.
#[derive(Debug, Args)]
pub(crate) struct Bind {
    #[command(flatten)]
    plugin: Named,
    /// An organization it applies to; may be given several times.
    #[arg(long = "org", value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    organizations: Vec<i64>,
    /// It applies to every organization.
    #[arg(long)]
    all: bool,
}

/// Which version to use.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    plugin: Named,
    /// One of the versions that are kept (`convergence plugin show`); the one before where absent.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
}

/// Makes the server ask a plugin again, or no longer.
pub(super) async fn enable(client: &Client, arguments: &Plain, on: bool, output: &Output) -> Result<(), Failure> {
    let path = arguments.plugin.path(if on { "/enable" } else { "/disable" });
    shown(client, client.request(Method::POST, &path), output).await
}

/// Sets a plugin's configuration.
pub(super) async fn configure(client: &Client, arguments: &Configure, output: &Output) -> Result<(), Failure> {
    let path = arguments.plugin.path("/configuration");
    let text = match (&arguments.configuration, &arguments.file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => fs::read_to_string(file)
            .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", file.display())))?,
        (None, None) => return shown(client, client.request(Method::DELETE, &path), output).await,
    };
    let configuration: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Failed(format!("the configuration is not JSON: {error}")))?;
    shown(client, client.request(Method::PUT, &path).json(&configuration), output).await
}

/// Says whom a policy applies to.
pub(super) async fn bind(client: &Client, arguments: &Bind, output: &Output) -> Result<(), Failure> {
    let organizations = if arguments.all { Value::Null } else { json!(arguments.organizations) };
    let request = client.request(Method::PUT, &arguments.plugin.path("/bindings"));
    shown(client, request.json(&json!({ "organizations": organizations })), output).await
}

/// Uses another version of a plugin.
pub(super) async fn rollback(client: &Client, arguments: &Rollback, output: &Output) -> Result<(), Failure> {
    let body = arguments.to.as_ref().map_or_else(|| json!({}), |version| json!({ "version": version }));
    let request = client.request(Method::POST, &arguments.plugin.path("/rollback"));
    shown(client, request.json(&body), output).await
}

/// Forgets a plugin.
pub(super) async fn remove(client: &Client, arguments: &Plain, output: &Output) -> Result<(), Failure> {
    client.send(client.request(Method::DELETE, &arguments.plugin.path(""))).await?;
    output.result(&json!({ "removed": arguments.plugin.id }), || format!("{} is removed", arguments.plugin.id));
    Ok(())
}

async fn shown(client: &Client, request: RequestBuilder, output: &Output) -> Result<(), Failure> {
    let (_, plugin) = client.json(request).await?;
    output.result(&plugin, || show::text(&plugin));
    Ok(())
}
