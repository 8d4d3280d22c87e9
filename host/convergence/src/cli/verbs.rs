//! `convergence start`, `stop`, `restart`, `rename`, `protect`, `unprotect`

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::output::Output;
use super::spawn::plain;
use super::tenant::Tenant;
use super::watch::{Watch, Watching};

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Verb {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    watching: Watching,
}

/// What a verb is called in a path and in a sentence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// `start`.
    pub(crate) verb: &'static str,
    /// `is started`.
    pub(crate) done: &'static str,
}

/// Runs a verb that is an operation, and watches it.
pub(crate) async fn run(client: &Client, arguments: &Verb, word: Word, output: &Output) -> Result<(), Failure> {
    let watch = Watch::new(client, *output, &arguments.watching, word.verb);
    let path = arguments.tenant.path(&format!("/{}", word.verb));
    watch.unless_interrupted(watch.begin(client.request(Method::POST, &path), false)).await?;
    output.result(&json!({ "success": true }), || format!("tenant {} {}", arguments.tenant.as_str(), word.done));
    Ok(())
}

/// Which tenant, and its new name.
#[derive(Debug, Args)]
pub(crate) struct Rename {
    #[command(flatten)]
    tenant: Tenant,
    /// Give it this name. What runs is told with its next revision.
    #[arg(value_name = "NEW-NAME")]
    name: String,
}

/// Renames a tenant.
pub(crate) async fn rename(client: &Client, arguments: &Rename, output: &Output) -> Result<(), Failure> {
    change(client, &arguments.tenant, &json!({ "name": arguments.name }), "is renamed", output).await
}

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Protection {
    #[command(flatten)]
    tenant: Tenant,
}

/// Protects a tenant from being destroyed, or no longer.
pub(crate) async fn protect(
    client: &Client,
    arguments: &Protection,
    protected: bool,
    output: &Output,
) -> Result<(), Failure> {
    let done = if protected { "is protected" } else { "is not protected any more" };
    change(client, &arguments.tenant, &json!({ "protected": protected }), done, output).await
}

async fn change(client: &Client, tenant: &Tenant, body: &Value, done: &str, output: &Output) -> Result<(), Failure> {
    let (_, changed) = client.json(client.request(Method::PATCH, &tenant.path("")).json(body)).await?;
    output.result(&changed, || {
        let part = |key: &str| changed.get(key).map(plain).unwrap_or_default();
        format!("tenant {} `{}` {done}", part("envId"), part("name"))
    });
    Ok(())
}
