//! `convergence secret list|set|unset`

use std::io::{IsTerminal, Read};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::super::age::ago;
use super::super::client::Client;
use super::super::exit::Failure;
use super::super::output::{Output, table};
use super::super::spawn::plain;
use super::super::tenant::Tenant;
use super::{Changing, Named, Unset, change, gone, once, unless_running};

/// What to do with the secrets of a tenant.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the secrets of a tenant, without their values.
    List(Named),
    /// Set secrets, and replace the app by a revision that has them.
    Set(Set),
    /// Remove secrets, and replace the app by a revision without them.
    Unset(Unset),
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    tenant: Tenant,
    /// Set these secrets. The value of a name without `=` is asked for on the terminal, or read from standard input, where other
    /// users of this machine do not see it.
    #[arg(value_name = "NAME[=VALUE]", required = true)]
    secrets: Vec<String>,
    #[command(flatten)]
    changing: Changing,
}

/// Shows or changes the secrets of a tenant.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(Named { tenant }) => list(client, tenant, output).await,
        Command::Set(Set { tenant, secrets, changing }) => {
            let secrets = values(secrets)?;
            let secrets = once(secrets.into_iter().map(|(name, value)| (name, json!(value))))?;
            change(client, tenant, (Method::PATCH, "secrets"), secrets, changing, output).await
        }
        Command::Unset(Unset { tenant, names, changing }) => {
            let (_, found) = client.json(client.request(Method::GET, &tenant.path("/secrets"))).await?;
            let there = found.get("secrets").and_then(Value::as_array).into_iter().flatten();
            let there = there.filter_map(|secret| secret.get("name")?.as_str());
            let gone = gone(tenant, names, "secret", "secret", there)?;
            change(client, tenant, (Method::PATCH, "secrets"), gone, changing, output).await
        }
    }
}

async fn list(client: &Client, tenant: &Tenant, output: &Output) -> Result<(), Failure> {
    let (_, found) = client.json(client.request(Method::GET, &tenant.path("/secrets"))).await?;
    output.result(&found, || {
        let secrets = found.get("secrets").and_then(Value::as_array).into_iter().flatten();
        let row = |secret: &Value| {
            let part = |key: &str| secret.get(key).map(plain).unwrap_or_default();
            vec![part("name"), part("version"), ago(secret, "createdAt"), part("actor")]
        };
        let rows: Vec<_> = secrets.map(row).collect();
        let told = match rows.as_slice() {
            [] => format!("tenant {0} has no secrets; `convergence secret set {0} NAME` sets one", tenant.as_str()),
            rows => table(&["NAME", "VERSION", "SET", "BY"], rows),
        };
        told + unless_running(&found)
    });
    Ok(())
}

/// Names and values; a value that is not on the command line is asked for.
fn values(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let open: Vec<_> = given.iter().filter(|text| !text.contains('=')).collect();
    let is_terminal = std::io::stdin().is_terminal();
    if open.len() > 1 && !is_terminal {
        return Err(Failure::Usage(format!(
            "{} values are to be read from standard input, which has one; give one NAME without `=` at a time",
            open.len()
        )));
    }
    let value = |text: &String| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => hidden(&format!("Value of {text}")).map(|value| (text.clone(), value)),
    };
    given.iter().map(value).collect()
}

/// Asks for a text on the terminal, which does not show it, or reads it from standard input.
pub(crate) fn hidden(what: &str) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        let asked = console::Term::stderr();
        let read = asked.write_str(&format!("{what} (not shown): ")).and_then(|()| asked.read_secure_line());
        return read.map_err(|error| Failure::Failed(format!("cannot read the value: {error}")));
    }
    let mut value = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut value);
    read.map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")))?;
    // What `echo` and editors add.
    let value = value.strip_suffix('\n').map(|value| value.strip_suffix('\r').unwrap_or(value)).unwrap_or(&value);
    Ok(value.to_owned())
}
