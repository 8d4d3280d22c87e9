//! `convergence plugin enable`, `disable`, `configure`, `bind`, `rollback`, `remove`: an administrator's decisions.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{Named, show};
use crate::cli::client::Client;
use crate::cli::confirm::{self, Confirmation};
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

/// Which plugin, and whether to ask.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    plugin: Named,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// What the plugin is told.
#[derive(Debug, Args)]
pub(crate) struct Configure {
    #[command(flatten)]
    plugin: Named,
    /// Set this configuration, a JSON object.
    #[arg(value_name = "JSON", required_unless_present_any = ["file", "reset"], conflicts_with_all = ["file", "reset"])]
    configuration: Option<String>,
    /// Read the configuration from this file.
    #[arg(long, value_name = "FILE", conflicts_with = "reset")]
    file: Option<PathBuf>,
    /// Use the configuration in the server's configuration file again.
    #[arg(long)]
    reset: bool,
}

/// Whom a policy applies to.
#[derive(Debug, Args)]
pub(crate) struct Bind {
    #[command(flatten)]
    plugin: Named,
    /// Apply the policy to this organization; repeat the option for more.
    #[arg(long = "org", value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    organizations: Vec<i64>,
    /// Apply the policy to every organization.
    #[arg(long)]
    all: bool,
}

/// Which version to use.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    #[command(flatten)]
    plugin: Named,
    /// Use this version, or the one whose digest begins like this (sha256:…); `convergence plugin show` lists them [default:
    /// the previous one].
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
}

/// Enables or disables a plugin.
pub(super) async fn enable(client: &Client, arguments: &Plain, on: bool, output: &Output) -> Result<(), Failure> {
    let path = arguments.plugin.path(if on { "/enable" } else { "/disable" });
    let already = if on { "not disabled" } else { "disabled already" };
    changed(client, &arguments.plugin, client.request(Method::POST, &path), already, output).await
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
    changed(client, &arguments.plugin, request.json(&body), "in this version already", output).await
}

/// Uninstalls a plugin.
pub(super) async fn remove(client: &Client, arguments: &Remove, output: &Output) -> Result<(), Failure> {
    if arguments.confirmation.is_needed("plugin remove")? {
        let (_, plugin) = client.json(client.request(Method::GET, &arguments.plugin.path(""))).await?;
        let part = |key: &str| plugin.get(key).and_then(Value::as_str).unwrap_or("-");
        let (kind, id) = (part("kind"), part("id"));
        confirm::ask(&format!("Uninstall the {kind} `{id}`, all its versions, and delete its files?"))?;
    }
    client.send(client.request(Method::DELETE, &arguments.plugin.path(""))).await?;
    output.result(&json!({ "removed": arguments.plugin.id }), || {
        format!(
            "plugin {} is uninstalled; files it had in the plugins folder are kept in its `.removed` folder for 30 days: move one back to install it again",
            arguments.plugin.id
        )
    });
    Ok(())
}

/// Carries a decision out and shows the plugin. One that changes nothing is a failure, so that a script notices.
async fn changed(
    client: &Client,
    plugin: &Named,
    request: RequestBuilder,
    already: &str,
    output: &Output,
) -> Result<(), Failure> {
    let in_use = |plugin: &Value| ["state", "digest"].map(|key| plugin.get(key).cloned());
    let (_, before) = client.json(client.request(Method::GET, &plugin.path(""))).await?;
    let (_, after) = client.json(request).await?;
    if in_use(&before) == in_use(&after) {
        return Err(Failure::Failed(format!("nothing was changed: the plugin {} is {already}", plugin.id)));
    }
    output.result(&after, || show::text(&after));
    Ok(())
}

async fn shown(client: &Client, request: RequestBuilder, output: &Output) -> Result<(), Failure> {
    let (_, plugin) = client.json(request).await?;
    output.result(&plugin, || show::text(&plugin));
    Ok(())
}
