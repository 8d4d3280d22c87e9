//! `convergence env list|set|unset|import|export|apply`

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::super::client::Client;
use super::super::exit::Failure;
use super::super::output::{Output, table};
use super::super::spawn::plain;
use super::super::spec::variable;
use super::super::tenant::Tenant;
use super::{Changing, Named, Unset, change, dotenv, gone, once, unless_running};

/// What to do with the variables of a tenant.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the variables of a tenant; of secrets only the names.
    List(Named),
    /// Set variables, and replace the app by a revision that has them.
    Set(Set),
    /// Remove variables, and replace the app by a revision without them.
    Unset(Unset),
    /// Set the variables of a `.env` file. `$` is not expanded.
    Import(Import),
    /// Print the plain variables as a `.env` file.
    Export(Named),
    /// Deploy changes that were kept for later.
    Apply(Apply),
}

#[derive(Debug, Args)]
struct Set {
    #[command(flatten)]
    tenant: Tenant,
    /// Set these variables.
    #[arg(value_name = "NAME=VALUE", value_parser = variable, required = true)]
    variables: Vec<(String, String)>,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, Args)]
struct Import {
    #[command(flatten)]
    tenant: Tenant,
    /// Read this file; `-` reads standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Remove the plain variables that the file does not have.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    changing: Changing,
}

#[derive(Debug, Args)]
struct Apply {
    #[command(flatten)]
    tenant: Tenant,
    #[command(flatten)]
    changing: Changing,
}

/// Shows or changes the variables of a tenant.
pub(crate) async fn run(client: &Client, arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(Named { tenant }) => list(client, tenant, output).await,
        Command::Export(Named { tenant }) => export(client, tenant, output).await,
        Command::Set(Set { tenant, variables, changing }) => {
            let variables = once(variables.iter().map(|(name, value)| (name.clone(), json!(value))))?;
            change(client, tenant, (Method::PATCH, "env"), variables, changing, output).await
        }
        Command::Unset(Unset { tenant, names, changing }) => {
            let variables = variables_of(client, tenant).await?;
            let there = variables.get("env").and_then(Value::as_object).into_iter().flatten();
            let gone = gone(tenant, names, "variable", "env", there.map(|(name, _)| name.as_str()))?;
            change(client, tenant, (Method::PATCH, "env"), gone, changing, output).await
        }
        Command::Import(Import { tenant, file, replace, changing }) => {
            let text = read(file)?;
            let variables =
                dotenv::parse(&text).map_err(|wrong| Failure::Usage(format!("{}: {wrong}", file.display())))?;
            let variables = once(variables.into_iter().map(|(name, value)| (name, json!(value))))?;
            let method = if *replace { Method::PUT } else { Method::PATCH };
            change(client, tenant, (method, "env"), variables, changing, output).await
        }
        Command::Apply(Apply { tenant, changing }) => {
            change(client, tenant, (Method::PATCH, "env"), Map::new(), changing, output).await
        }
    }
}

async fn variables_of(client: &Client, tenant: &Tenant) -> Result<Value, Failure> {
    let (_, variables) = client.json(client.request(Method::GET, &tenant.path("/env"))).await?;
    Ok(variables)
}

async fn list(client: &Client, tenant: &Tenant, output: &Output) -> Result<(), Failure> {
    let variables = variables_of(client, tenant).await?;
    output.result(&variables, || {
        let plain_ones = variables.get("env").and_then(Value::as_object).into_iter().flatten();
        let mut rows: Vec<Vec<String>> = plain_ones.map(|(name, value)| vec![name.clone(), plain(value)]).collect();
        for secret in variables.get("secrets").and_then(Value::as_array).into_iter().flatten() {
            let part = |key: &str| secret.get(key).map(plain).unwrap_or_default();
            rows.push(vec![part("name"), format!("(secret, version {})", part("version"))]);
        }
        rows.sort();
        let told = match rows.as_slice() {
            [] => format!("tenant {} has no variables of its own", tenant.as_str()),
            rows => table(&["NAME", "VALUE"], rows),
        };
        told + unless_running(&variables)
    });
    Ok(())
}

async fn export(client: &Client, tenant: &Tenant, output: &Output) -> Result<(), Failure> {
    let variables = variables_of(client, tenant).await?;
    let env = variables.get("env").cloned().unwrap_or_default();
    output.result(&env, || {
        let pairs = env.as_object().into_iter().flatten();
        dotenv::write(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())))
    });
    Ok(())
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        return read.map(|_| text).map_err(|error| Failure::Failed(format!("cannot read standard input: {error}")));
    }
    std::fs::read_to_string(file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}
